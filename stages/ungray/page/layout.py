"""The page itself: what is where, and which event answers it. Gradio draws it."""

from __future__ import annotations

import html
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

import gradio as gr
from gradio.data_classes import FileData

from ungray.page.coloring import AS_IT_CAME, FORMATS
from ungray.page.events import Events
from ungray.page.uploads import MOST_FILES, Uploads

INTRODUCTION = """# Ungray
Gives a gray photo color; a color photo is taken as gray. The colors are a guess: plausible at best, never
evidence. Photos are worked on by this machine alone, and nothing of them is kept when you close the page."""

NO_PHOTO = "No photo yet."
NO_CARD = "There is no model card beside this model's file."

APART = {"api_visibility": "private"}
"""For every event: it is the page's own, no interface for programs."""

THEME = {
    "font": ["system-ui", "sans-serif"],  # the reader's own: gradio's would come from elsewhere or as a file
    "font_mono": ["ui-monospace", "monospace"],
    "primary_hue": "teal",
    "secondary_hue": "teal",
    "neutral_hue": "gray",
}
LEGIBLE = {
    "body_text_color_subdued": "*neutral_500",
    "input_placeholder_color": "*neutral_600",
    "input_placeholder_color_dark": "*neutral_300",
    "button_primary_background_fill": "*primary_700",
    "button_primary_background_fill_dark": "*primary_700",
    "button_primary_background_fill_hover": "*primary_800",
    "button_primary_background_fill_hover_dark": "*primary_800",
}
"""Gradio's own are too pale to read: at least 4.5 to 1 is what WCAG wants."""


Block = TypeVar("Block", bound=gr.components.Component)


def here(component: Block) -> Block:
    """Return ``component``, changed so that files stay where they are.

    Gradio would download where a request gives an address in place of a file, note each file for ever, and
    leave an empty one for each upload. A subclass would do, but gradio writes a .pyi file beside its source.
    """

    def stays(path: str | Path | None) -> str | None:
        if path is not None and str(path).startswith(("http:", "https:")):
            raise gr.Error("no such upload", print_exception=False)
        return None if path is None else str(path)

    async def stays_too(path: str | Path | None) -> str | None:
        return stays(path)

    def paths(payload: Any) -> Any:
        if payload is None or isinstance(payload, FileData):
            return payload and payload.path
        return [file.path for file in payload]

    changes = {"move_resource_to_block_cache": stays, "async_move_resource_to_block_cache": stays_too}
    for name, change in (changes | ({"preprocess": paths} if isinstance(component, gr.File) else {})).items():
        setattr(component, name, change)
    return component


def build(events: Events, *, max_bytes: int, max_pixels: int, queue: int) -> gr.Blocks:
    """Return the page, its events bound to ``events``."""
    first = events.models.names[0]
    limits = f"up to {max_bytes / 1e6:g} MB and {max_pixels / 1e6:g} megapixels"
    with gr.Blocks(title="Ungray: color a photo", analytics_enabled=False) as page:
        gr.Markdown(INTRODUCTION, elem_id="introduction")
        about = gr.Markdown(events.models.about(first), elem_id="about")
        with gr.Tab("One photo"):
            chosen = [_one(events, limits)]
        with gr.Tab("Several photos"):
            chosen.append(_several(events, limits))
        with gr.Accordion("Model card", open=False, elem_id="card"):
            card = gr.Markdown(events.models.card(first) or NO_CARD)
        for model in chosen:
            model.change(
                lambda name: (events.models.about(name), events.models.card(name) or NO_CARD),
                model,
                [about, card],
                show_progress="hidden",
                **APART,
            )
        page.unload(events.leave)
    page.queue(max_size=queue, default_concurrency_limit=2)
    return page


def _controls(events: Events) -> tuple[list[Any], gr.Dropdown]:
    """Draw the controls; return model, saturation and vivid, and the format to save in."""
    names = events.models.names
    with gr.Row(elem_classes="controls"):
        saturation = gr.Slider(0, 2, value=1, step=0.05, label="Saturation", min_width=300)
        vivid = gr.Checkbox(label="Vivid", info="livelier, and wrong more often", min_width=130)
        kind = gr.Dropdown(list(FORMATS), value=AS_IT_CAME, label="Save as", min_width=160)
        model = gr.Dropdown(
            names, value=names[0], label="Model", min_width=130, visible=len(names) > 1, elem_classes="model"
        )
    return [model, saturation, vivid], kind


def _one(events: Events, limits: str) -> gr.Dropdown:
    with gr.Row():
        with gr.Column(scale=2, min_width=280):
            drop = here(gr.File(label="Drop, click or paste (Ctrl+V)", height=150, elem_id="drop"))
            gr.Markdown(f"JPEG, PNG, WebP, TIFF, BMP, GIF; {limits}", elem_classes="hint")
            with gr.Row(elem_id="address"):
                url = gr.Textbox(
                    placeholder="https://…/photo.jpg",
                    show_label=False,
                    label="Address of a photo",
                    container=False,
                    max_lines=1,
                    scale=3,
                    min_width=120,
                )
                fetch = gr.Button("Fetch", scale=1, min_width=80, elem_id="fetch")
            examples = gr.Dataset(
                components=[gr.Image(type="filepath", render=False)],
                samples=[[str(path)] for path in events.examples],
                type="index",
                label="Or try one of these",
                elem_id="examples",
            )
        with gr.Column(scale=3, min_width=280):
            slider = here(
                gr.ImageSlider(
                    label="Gray | colored", max_height=560, buttons=["fullscreen"], elem_id="slider"
                )
            )
            facts = gr.Markdown(NO_PHOTO, elem_id="facts")
            controls, kind = _controls(events)
            save = gr.Button("Download at full size", variant="primary", elem_id="save")
            made = here(gr.DownloadButton(visible="hidden", elem_id="made"))
    work = {"concurrency_id": "photos", "concurrency_limit": 2, "show_progress_on": slider, **APART}
    shown = [slider, facts]
    opened = drop.upload(events.open_upload, [drop, *controls], shown, **work)
    # The drop zone is free again at once, also after a bad file.
    opened.then(None, None, drop, js="() => null", **APART)
    for asked in (fetch.click, url.submit):
        asked(events.open_address, [url, *controls], shown, **work)
    examples.click(events.open_example, [examples, *controls], shown, **work)
    written = save.click(
        events.whole, [*controls, kind], [made, facts], **(work | {"show_progress_on": save})
    )
    written.success(None, made, None, js=DOWNLOAD, **APART)
    for control in controls:
        control.input(
            events.change,
            controls,
            shown,
            show_progress="hidden",
            trigger_mode="always_last",
            concurrency_id="controls",
            concurrency_limit=2,
            **APART,
        )
    return controls[0]


def _several(events: Events, limits: str) -> gr.Dropdown:
    photos = here(
        gr.File(label="Drop, click or paste (Ctrl+V)", file_count="multiple", height=170, elem_id="photos")
    )
    gr.Markdown(f"Up to {MOST_FILES} photos, each {limits}", elem_classes="hint")
    controls, kind = _controls(events)
    go = gr.Button("Color all", variant="primary", elem_id="go")
    said = gr.Markdown("", elem_id="said")
    pictures = here(
        gr.Gallery(
            label="Colored", columns=4, object_fit="contain", buttons=["fullscreen"], elem_id="pictures"
        )
    )
    archive = here(gr.DownloadButton("Download all (ZIP)", interactive=False, elem_id="archive"))
    done = go.click(
        events.many,
        [photos, *controls, kind],
        [pictures, archive, said],
        concurrency_id="several",
        concurrency_limit=1,
        show_progress_on=pictures,
        **APART,
    )
    done.then(None, None, photos, js="() => null", **APART)
    return controls[0]


DOWNLOAD = """(file) => {
  if (!file) return;
  const link = document.createElement("a");
  link.href = file.url;
  link.download = file.orig_name;
  link.click();
}"""


def appearance(uploads: Uploads) -> dict[str, Any]:
    """Return what gradio's mount takes for the page's looks: all from here, nothing from the network."""
    here = files("ungray.page")
    script = (here / "page.js").read_text()
    limits = (
        f'<meta name="too-large" content="{html.escape(uploads.too_large)}" '
        f'data-photo="{uploads.max_bytes}" data-request="{uploads.max_request}">'
    )
    return {
        "theme": gr.themes.Base(**THEME).set(**LEGIBLE),
        "css": (here / "page.css").read_text(),
        "head": f'{limits}\n<script type="module">\n{script}</script>',
    }
