// A photo pasted anywhere on the page goes where a dropped one would.
document.addEventListener("paste", (event) => {
  const photos = [...(event.clipboardData?.files ?? [])];
  const visible = [...document.querySelectorAll("#drop input[type=file], #photos input[type=file]")].find(
    (input) => input.closest("#drop, #photos").checkVisibility(),
  );
  if (!photos.length || !visible) return;
  event.preventDefault();
  const pasted = new DataTransfer();
  for (const photo of visible.multiple ? photos : photos.slice(0, 1)) pasted.items.add(photo);
  visible.files = pasted.files;
  visible.dispatchEvent(new Event("change", { bubbles: true }));
});

// Files that are too large are refused here. Gradio would show the limit in another unit, and the server would
// refuse only after receiving the whole file.
function refuse(event) {
  const zone = event.target.closest?.("#drop, #photos");
  if (!zone) return;
  document.querySelectorAll(".refusal").forEach((earlier) => earlier.remove());
  const limit = document.querySelector("meta[name=too-large]");
  const photos = [...(event.target.files ?? event.dataTransfer?.files ?? [])];
  const large = photos.find((photo) => photo.size > Number(limit.dataset.photo));
  const together = photos.reduce((sum, photo) => sum + photo.size, 0) > Number(limit.dataset.request);
  if (!large && !together) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  if (event.target.files) event.target.value = "";
  const refusal = document.createElement("p");
  refusal.className = "refusal";
  refusal.setAttribute("role", "alert");
  refusal.textContent = `Not colored. ${large?.name ?? `${photos.length} photos`}: ${limit.content}`;
  zone.after(refusal);
}
for (const kind of ["change", "drop"]) window.addEventListener(kind, refuse, true);
