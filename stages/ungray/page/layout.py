"""The page itself: its layout, and the handler of each event. Gradio renders it."""

from __future__ import annotations

import html
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

import gradio as gr
from gradio.data_classes import FileData

from ungray.page.coloring import AS_IT_CAME, FORMATS
from ungray.page.events import Events
from ungray.page.uploads import MAX_FILES, Uploads

INTRODUCTION = """# Ungray
Gives a gray photo color; a color photo is taken as gray. The colors are a guess: plausible at best, never
evidence. Photos are worked on by this machine alone, and nothing of them is kept when you close the page."""

NO_PHOTO = "No photo yet."
NO_CARD = "There is no model card next to this model's file."

PRIVATE = {"api_visibility": "private"}
"""For every event: only the page may trigger it, it is no public API."""

THEME = {
    "font": ["system-ui", "sans-serif"],  # the system's fonts: gradio's would have to be downloaded
    "font_mono": ["ui-monospace", "monospace"],
    "primary_hue": "teal",
    "secondary_hue": "teal",
    "neutral_hue": "gray",
}
CONTRAST = {
    "body_text_color_subdued": "*neutral_500",
    "input_placeholder_color": "*neutral_600",
    "input_placeholder_color_dark": "*neutral_300",
    "button_primary_background_fill": "*primary_700",
    "button_primary_background_fill_dark": "*primary_700",
    "button_primary_background_fill_hover": "*primary_800",
    "button_primary_background_fill_hover_dark": "*primary_800",
}
"""Gradio's own colors have too little contrast; WCAG requires at least 4.5 to 1."""


Block = TypeVar("Block", bound=gr.components.Component)


def without_cache(component: Block) -> Block:
    """Return ``component``, patched so that gradio does not copy files to its cache.

    Gradio would download files for requests that name an address instead of a file, keep a record of each
    file forever, and leave an empty file for each upload. This could be a subclass, but for each subclass
    gradio writes a .pyi file next to the source.
    """

    def unchanged(path: str | Path | None) -> str | None:
        if path is not None and str(path).startswith(("http:", "https:")):
            raise gr.Error("no such upload", print_exception=False)
        return None if path is None else str(path)

    async def unchanged_async(path: str | Path | None) -> str | None:
        return unchanged(path)

    def paths(payload: Any) -> Any:
        if payload is None or isinstance(payload, FileData):
            return payload and payload.path
        return [file.path for file in payload]

    changes = {
        "move_resource_to_block_cache": unchanged,
        "async_move_resource_to_block_cache": unchanged_async,
    }
    for name, change in (changes | ({"preprocess": paths} if isinstance(component, gr.File) else {})).items():
        setattr(component, name, change)
    return component


def build(events: Events, *, max_bytes: int, max_pixels: int, queue: int) -> gr.Blocks:
    """Return the page, with the handlers ``events``."""
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
                **PRIVATE,
            )
        page.unload(events.leave)
    page.queue(max_size=queue, default_concurrency_limit=2)
    return page


def _controls(events: Events) -> tuple[list[Any], gr.Dropdown]:
    """Create the controls; return those of model, saturation and vivid, and that of the format."""
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
            drop = without_cache(gr.File(label="Drop, click or paste (Ctrl+V)", height=150, elem_id="drop"))
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
            slider = without_cache(
                gr.ImageSlider(
                    label="Gray | colored", max_height=560, buttons=["fullscreen"], elem_id="slider"
                )
            )
            facts = gr.Markdown(NO_PHOTO, elem_id="facts")
            controls, kind = _controls(events)
            save = gr.Button("Download at full size", variant="primary", elem_id="save")
            made = without_cache(gr.DownloadButton(visible="hidden", elem_id="made"))
    work = {"concurrency_id": "photos", "concurrency_limit": 2, "show_progress_on": slider, **PRIVATE}
    shown = [slider, facts]
    opened = drop.upload(events.open_upload, [drop, *controls], shown, **work)
    # The drop zone is cleared at once, also after a bad file.
    opened.then(None, None, drop, js="() => null", **PRIVATE)
    for trigger in (fetch.click, url.submit):
        trigger(events.open_address, [url, *controls], shown, **work)
    examples.click(events.open_example, [examples, *controls], shown, **work)
    written = save.click(
        events.whole, [*controls, kind], [made, facts], **(work | {"show_progress_on": save})
    )
    written.success(None, made, None, js=DOWNLOAD, **PRIVATE)
    for control in controls:
        control.input(
            events.change,
            controls,
            shown,
            show_progress="hidden",
            trigger_mode="always_last",
            concurrency_id="controls",
            concurrency_limit=2,
            **PRIVATE,
        )
    return controls[0]


def _several(events: Events, limits: str) -> gr.Dropdown:
    photos = without_cache(
        gr.File(label="Drop, click or paste (Ctrl+V)", file_count="multiple", height=170, elem_id="photos")
    )
    gr.Markdown(f"Up to {MAX_FILES} photos, each {limits}", elem_classes="hint")
    controls, kind = _controls(events)
    go = gr.Button("Color all", variant="primary", elem_id="go")
    said = gr.Markdown("", elem_id="said")
    pictures = without_cache(
        gr.Gallery(
            label="Colored", columns=4, object_fit="contain", buttons=["fullscreen"], elem_id="pictures"
        )
    )
    archive = without_cache(gr.DownloadButton("Download all (ZIP)", interactive=False, elem_id="archive"))
    done = go.click(
        events.many,
        [photos, *controls, kind],
        [pictures, archive, said],
        concurrency_id="several",
        concurrency_limit=1,
        show_progress_on=pictures,
        **PRIVATE,
    )
    done.then(None, None, photos, js="() => null", **PRIVATE)
    return controls[0]


DOWNLOAD = """(file) => {
  if (!file) return;
  const link = document.createElement("a");
  link.href = file.url;
  link.download = file.orig_name;
  link.click();
}"""


def appearance(uploads: Uploads) -> dict[str, Any]:
    """Return the arguments of gradio's mount for theme, style and scripts; nothing is from the network."""
    here = files("ungray.page")
    script = (here / "page.js").read_text()
    limits = (
        f'<meta name="too-large" content="{html.escape(uploads.too_large)}" '
        f'data-photo="{uploads.max_bytes}" data-request="{uploads.max_request}">'
    )
    return {
        "theme": gr.themes.Base(**THEME).set(**CONTRAST),
        "css": (here / "page.css").read_text(),
        "head": f'{limits}\n<script type="module">\n{script}</script>',
    }
