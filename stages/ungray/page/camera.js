// A webcam: a live view in a dialog, and a button that takes the photo. Phones take photos by their own program, which
// the file input of the page opens.

const find = (name) => document.querySelector(name);
const WANTED = { video: { facingMode: "environment", width: { ideal: 1920 }, height: { ideal: 1080 } }, audio: false };
const QUALITY = 0.95; // of the JPEG
const REASONS = {
  NotAllowedError: "The browser does not let this page use the camera: allow it at the page’s address, and try again.",
  NotFoundError: "No camera was found: connect one, and try again.",
  NotReadableError: "The camera cannot be started: does another program use it?",
};
const INSECURE = "A webcam can be used only where this page runs on your own machine or is served over HTTPS: that is the "
  + "browser’s rule. Choose or drop a photo instead.";

let dialog, view, shoot, stream, taken = 0;
const say = (text) => { dialog.querySelector("[role=status]").textContent = text; };

// ``take`` gets each photo, a file.
export function begin(take) {
  dialog = find("#viewfinder");
  view = dialog.querySelector("video");
  shoot = dialog.querySelector(".shoot");
  const own = matchMedia("(pointer: coarse)").matches; // a phone's program, which needs no secure address
  find("#camera-label").hidden = !own;
  find("#take").hidden = own || !navigator.mediaDevices;
  find("#camera-note").hidden = own || Boolean(navigator.mediaDevices);
  find("#camera-note").textContent = INSECURE;
  find("#take").addEventListener("click", open);
  dialog.querySelector(".close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", stop);
  shoot.addEventListener("click", async () => {
    const file = await photo();
    dialog.close();
    take(file);
  });
}

async function open() {
  shoot.disabled = true;
  say("Waiting for the camera. The browser may ask you whether this page may use it.");
  dialog.showModal();
  try {
    const given = await navigator.mediaDevices.getUserMedia(WANTED);
    if (!dialog.open || stream) return end(given); // meanwhile it was closed
    stream = given;
    const [track] = given.getVideoTracks();
    track.addEventListener("ended", () => { // unplugged, or no longer allowed; not after stop
      say("The camera has stopped.");
      shoot.disabled = true;
    });
    view.srcObject = given;
    await view.play();
    if (stream !== given) return undefined;
    shoot.disabled = false;
    shoot.focus();
    say("The camera is on.");
  } catch (error) {
    if (dialog.open && error.name !== "AbortError") say(REASONS[error.name] ?? `The camera cannot be used: ${error.message}`);
  }
  return undefined;
}

async function photo() {
  const canvas = Object.assign(document.createElement("canvas"), { width: view.videoWidth, height: view.videoHeight });
  canvas.getContext("2d").drawImage(view, 0, 0);
  const content = await new Promise((done) => canvas.toBlob(done, "image/jpeg", QUALITY));
  taken += 1;
  return new File([content], taken > 1 ? `camera-${taken}.jpg` : "camera.jpg", { type: "image/jpeg" });
}

const end = (given) => { for (const track of given?.getTracks() ?? []) track.stop(); };

function stop() {
  end(stream);
  stream = undefined;
  view.srcObject = null;
}
