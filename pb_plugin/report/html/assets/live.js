// Follows a run that is going on: asks for newer numbers until it has ended.
const EVERY_MS = 2000;
const follow = async (numbers, shows) => {
  for (;;) {
    let found;
    try {
      found = await (await fetch("live.json", { cache: "no-store" })).json();
    } catch {
      at("live-state").textContent = "pb view does not answer any more; this is what was seen last.";
      return;
    }
    at("live-state").textContent = found.state;
    at("live-bar").max = Math.max(found.total, 1);
    at("live-bar").value = found.done;
    Object.assign(numbers, found.numbers);
    for (const show of shows) show();
    document.documentElement.dataset.live = found.ended ? "ended" : "followed";
    if (found.ended) return;
    await new Promise((resolve) => setTimeout(resolve, EVERY_MS));
  }
};
