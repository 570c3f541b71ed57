// One photo as large as the window, with its measures, its note, and the other photos of its group.

const $ = (selector) => document.querySelector(selector);
const dialog = $("#large");

export class Large {
  constructor({ open, write, verdict, closed }) {
    Object.assign(this, { open, write, verdict, closed });
    this.drafts = new Map();
    $("#note").addEventListener("input", () => this.drafts.set(this.photo.id, $("#note").value));
    $("#note").addEventListener("change", () => this.keepNote());
    $("#note").addEventListener("keydown", (event) => {
      if (event.key === "Enter") { event.preventDefault(); $("#note").blur(); }
    });
    $("#close").addEventListener("click", () => this.close());
    // The Escape key. The dialog's own "close" event comes a task later, and keys may come before it.
    dialog.addEventListener("cancel", (event) => { event.preventDefault(); this.close(); });
    // A small photo is shown at no more than twice its size: a sharp one would look blurred.
    for (const image of dialog.querySelectorAll(".stage img")) {
      image.addEventListener("load", () => {
        image.style.maxWidth = `${2 * image.naturalWidth}px`;
        image.style.maxHeight = `${2 * image.naturalHeight}px`;
      });
    }
  }

  close() {
    this.closing = true;  // the browser restores the focus, which is not a move by the user
    dialog.close();
    this.closing = false;
    this.closed();
  }

  get shown() { return dialog.open; }

  /** The note typed for a photo without a decision. */
  draft(id) { return this.drafts.get(id); }

  /** Called when a decision was saved; a note that was typed since then is sent now. */
  saved(id, { decision, note }) {
    if (this.drafts.get(id) === note) this.drafts.delete(id);
    const typing = this.photo?.id === id && document.activeElement === $("#note");
    if (decision && this.drafts.has(id) && !typing) this.write(id, decision, this.drafts.get(id));
  }

  keepNote() {
    const { id, decision } = this.photo;
    if (decision && this.drafts.has(id)) this.write(id, decision, $("#note").value);
  }

  show(photo, { position, mates }) {
    // A note that is being typed belongs to the previous photo.
    if (this.photo && this.photo.id !== photo.id && document.activeElement === $("#note")) $("#note").blur();
    const other = this.photo?.id !== photo.id;
    this.photo = photo;
    if (other || !dialog.open) {
      $("#large-photo").src = `/large/${photo.sha256}.jpg`;
      $("#large-photo").alt = `${photo.query}: ${photo.file}`;
    }
    this.showTwin(photo);
    $("#large-name").textContent = photo.file;
    $("#large-verdict").textContent = this.verdict(photo);
    dialog.querySelector(".keep").setAttribute("aria-pressed", photo.decision === "keep");
    dialog.querySelector(".reject").setAttribute("aria-pressed", photo.decision === "reject");
    if (document.activeElement !== $("#note")) $("#note").value = this.drafts.get(photo.id) ?? photo.note;
    $("#measures").replaceChildren(...this.rows(photo));
    this.showMates(photo, mates);
    $("#position").textContent = position;
    if (!dialog.open) {
      dialog.showModal();
      dialog.focus();
    }
  }

  /** Show next to a duplicate the photo that it duplicates. */
  showTwin(photo) {
    const [own, theirs] = dialog.querySelectorAll(".stage figure"), twin = photo.twin;
    const size = ({ width, height }) => (width ? `, ${width} × ${height}` : "");
    theirs.hidden = !twin;
    own.querySelector("figcaption").textContent = twin ? `this photo${size(photo.measures)}` : "";
    if (!twin) return;
    const image = theirs.querySelector("img"), button = theirs.querySelector("button");
    image.src = `/large/${twin.sha256}.jpg`;
    button.setAttribute("aria-label", `Turn to its twin ${twin.file}`);
    button.onclick = () => this.open(twin.id);
    theirs.querySelector("figcaption").textContent = `its twin${size(twin)}, ${this.verdict(twin)}`;
  }

  rows(photo) {
    const facts = { query: photo.query, ...photo.measures, group: photo.group };
    return Object.entries(facts).filter(([, value]) => value !== "").flatMap(([name, value]) => {
      const term = document.createElement("dt"), text = document.createElement("dd");
      term.textContent = name.replaceAll("_", " ");
      text.textContent = value;
      return [term, text];
    });
  }

  showMates(photo, mates) {
    $("#mates").hidden = !mates.length;
    $("#mates h3").textContent = `${photo.mate_count} more in its group`;
    $("#mates div").replaceChildren(...mates.map((mate) => {
      const button = document.createElement("button"), image = document.createElement("img");
      button.type = "button";
      image.src = `/thumbnail/${mate.sha256}.jpg`;
      image.alt = `${mate.file}, ${this.verdict(mate)}`;
      button.title = image.alt;
      button.append(image);
      if (mate.verdict === "kept") {
        const badge = document.createElement("span");
        badge.className = "badge";
        badge.textContent = "kept";
        button.append(badge);
      }
      button.addEventListener("click", () => this.open(mate.id));
      return button;
    }));
  }
}
