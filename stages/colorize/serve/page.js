// A photo pasted anywhere on the page goes where a dropped one would.
document.addEventListener("paste", (event) => {
  const photos = [...(event.clipboardData?.files ?? [])];
  const visible = [...document.querySelectorAll("#drop input[type=file], #photos input[type=file]")].find(
    (input) => input.closest("#drop, #photos").checkVisibility(),
  );
  if (!photos.length || !visible) return;
  event.preventDefault();
  const taken = new DataTransfer();
  for (const photo of visible.multiple ? photos : photos.slice(0, 1)) taken.items.add(photo);
  visible.files = taken.files;
  visible.dispatchEvent(new Event("change", { bubbles: true }));
});
