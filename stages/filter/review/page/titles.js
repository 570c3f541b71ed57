// The names of photos, checks and queries on the review page.

const words = (check) => check.replaceAll("_", " ");
export const titles = {
  query: (name) => name || "(no query)",
  check: (name) => ({ "": "kept", review: "rejected by hand" })[name] ?? words(name),
};
export const pressed = { keep: "kept by hand", reject: "rejected by hand" };

export function verdict(photo) {
  const checks = photo.verdict === "kept" ? "kept" : `rejected: ${photo.reason || words(photo.check)}`;
  const applied = { keep: photo.verdict === "kept", reject: photo.check === "review" };
  if (!photo.decision) return checks;
  return pressed[photo.decision] + (applied[photo.decision] ? "" : ` (the last run: ${checks})`);
}

// An option's value is its name after an equals sign, so that an empty name differs from "all".
export function choices(select, sizes, title) {
  const present = select.value;
  const known = new Map(sizes.map(({ name, size }) => [`=${name}`, { text: title(name), size }]));
  if (present !== "*" && !known.has(present)) known.set(present, { text: title(present.slice(1)), size: 0 });
  const options = [new Option("all", "*")];
  for (const [value, { text, size }] of known) options.push(new Option(`${text} (${size})`, value));
  select.replaceChildren(...options);
  select.value = present;
}
