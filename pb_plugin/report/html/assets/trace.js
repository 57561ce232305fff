// The canvas of a sample at every step, under two settings side by side.
const MASK = "▢", AGAIN = "↺";
// What every position shows after so many steps: from the stored history, else from the final commits.
const canvasAt = (row, done) => {
  const places = row.ids.map((id, place) => ({ id, step: row.steps[place], seen: row.steps[place] < done }));
  if (!row.trace) return places;
  for (const [place, step] of row.steps.entries()) if (step >= 0) places[place] = { id: null, step: null, seen: false };
  const told = [...row.trace.c.map((one) => [one[0], 0, one]), ...row.trace.m.map((one) => [one[0], 1, one])].sort((a, b) => a[0] - b[0] || a[1] - b[1]);
  for (const [step, isMask, [, place, id, sure]] of told) {
    if (step >= done) break;
    if (!isMask) places[place] = { id, step, seen: true, sure };
    else if (places[place].seen) places[place] = { id: null, step: null, seen: false, again: step };
  }
  return places;
};

const tracePlayer = (texts) => {
  const state = { task: Object.keys(texts.tasks)[0], sample: 0, panes: [0, 0], step: 0, timer: null };
  const cells = () => texts.cells.filter((cell) => cell.task === state.task);
  const rowOf = (cell) => cell?.rows.find((row) => row.q === state.sample && !row.error);
  const steps = (row) => (row?.trace ? Math.max(...row.steps, ...[...row.trace.c, ...row.trace.m].map((told) => told[0])) + 1 : row?.steps ? Math.max(...row.steps) + 1 : 0);
  const lastStep = () => Math.max(0, ...state.panes.map((pane) => steps(rowOf(cells()[pane]))));

  const task = choice("task", "task", Object.keys(texts.tasks), (value) => { state.task = value; state.sample = 0; state.panes = ends(); sync(); });
  const sample = choice("sample", "sample", [], (value) => { state.sample = Number(value); sync(); });
  const sides = [0, 1].map((side) => choice(`side${side}`, side ? "right" : "left", [], (value) => { state.panes[side] = Number(value); sync(); }));
  const slider = make("input", { type: "range", name: "step", min: 0, max: 0, value: 0, oninput: () => { stop(); state.step = Number(slider.value); show(); } });
  const stepName = make("span", { text: "step" });
  const play = make("button", { type: "button", text: "Play", onclick: () => (state.timer === null ? start() : stop()) });
  at("trace-controls").append(task, sample, ...sides, make("label", {}, stepName, slider), play);

  const ends = () => [0, Math.max(0, cells().length - 1)];
  const stop = () => { clearInterval(state.timer); state.timer = null; play.textContent = "Play"; };
  const start = () => {
    if (state.step >= lastStep()) state.step = 0;
    play.textContent = "Pause";
    state.timer = setInterval(() => { state.step += 1; if (state.step >= lastStep()) stop(); show(); }, Math.max(80, Math.min(600, 6000 / (lastStep() + 1))));
    show();
  };
  const sync = () => {
    stop();
    const select = (label) => label.querySelector("select");
    fill(select(task), Object.keys(texts.tasks)); select(task).value = state.task;
    fill(select(sample), texts.tasks[state.task].map((question, i) => [i, question.id])); select(sample).value = state.sample;
    sides.forEach((side, i) => { fill(select(side), cells().map((cell, place) => [place, `${cell.curve}, ${cell.setting}`])); select(side).value = state.panes[i]; });
    state.step = lastStep();
    slider.max = state.step;
    show();
  };
  const pane = (cell) => {
    const row = rowOf(cell), head = make("h3", {}, make("bdi", { text: cell ? `${cell.curve}, ${cell.setting}` : "nothing" }));
    if (!row) return make("div", { class: "pane" }, head, make("p", { text: "This sample has no result here." }));
    if (!row.steps) return make("div", { class: "pane" }, head, make("p", { text: "Nobody recorded at which step each token was committed." }), said(row.a));
    const known = texts.tokens[cell.model], last = steps(row), done = Math.min(state.step, last);
    const canvas = canvasAt(row, done).map(({ id, step, seen, sure, again }, place) => {
      const isFixed = seen && step < 0, wasMasked = again === done - 1;
      const text = known.texts[id] || `⟨${id}⟩`, how = sure === undefined ? "" : ` with confidence ${sure}`;
      const masked = again === undefined ? "masked" : `masked again at step ${again + 1}`;
      const node = make("span", { class: `token${seen ? "" : " masked"}${isFixed ? " fixed" : ""}${seen && step === done - 1 && done < last ? " new" : ""}${wasMasked ? " again" : ""}`,
        title: `position ${place}, ${!seen ? masked : isFixed ? "fixed by the template" : `committed at step ${step + 1}${how}`}`, text: seen ? text : wasMasked ? AGAIN : MASK });
      if (seen && !isFixed) paint(node, last > 1 ? step / (last - 1) : 1);
      return node;
    });
    const reason = known.reason ? [make("p", { class: "quiet" }, make("bdi", { text: known.reason }))] : [];
    const again = row.remasks ? [make("p", { class: "quiet", text: `${row.remasks} positions were masked again on the way${row.trace ? `, shown as ${AGAIN}.` : "; final commits are shown (--pb-trace stores the others)."}` })] : [];
    return make("div", { class: "pane" }, head, make("p", { class: row.o === "right" ? "good" : "bad", text: `step ${done} of ${last}; ${OUTCOMES.find(([name]) => name === row.o)[1]}` }),
      make("div", { class: "canvas" }, canvas), ...again, ...reason);
  };
  const show = () => {
    slider.value = state.step;
    stepName.textContent = `step ${state.step} of ${lastStep()}`;
    at("trace-panes").replaceChildren(...state.panes.map((place) => pane(cells()[place])));
  };
  if (!state.task) { at("trace-panes").append(make("p", { text: "There is no result." })); return () => {}; }
  state.panes = ends();
  sync();
  return (cell, row) => {
    state.task = cell.task; state.sample = row.q;
    const place = cells().indexOf(cell);
    state.panes = [place, place === 0 ? Math.max(0, cells().length - 1) : 0];
    sync();
    state.step = 0; show();
    at("trace").scrollIntoView();
    slider.focus({ preventScroll: true });
  };
};
