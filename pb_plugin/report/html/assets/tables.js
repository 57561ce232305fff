// The PBx table of a suite, and the scores of a curve by task and setting.
const pbxTable = (numbers) => {
  const suites = () => {
    const measured = numbers.suites.filter((suite) => numbers.curves.some((curve) => curve.suites[suite].reason === null));
    return measured.length ? measured : numbers.suites;
  };
  const state = { suite: suites()[0], count: numbers.counts[0] };
  const suite = choice("suite", "suite", suites(), (value) => { state.suite = value; show(); });
  at("pbx-controls").append(suite,
    choice("count", "count tokens", numbers.counts, (value) => { state.count = value; show(); }));
  const show = () => {
    const letters = Object.assign({}, ...[...numbers.groups[state.suite]].reverse().map((group) => group.letters));
    const has = numbers.curves.filter((curve) => curve.suites[state.suite].reason === null);
    const rows = has.map((curve) => {
      const found = curve.suites[state.suite].pbx[state.count];
      return [curve.label, ...numbers.xs.map((x) => {
        const ends = found[x].ends;
        return pbxText(found[x]) + (ends ? ` [${pbxText(ends[0])}, ${pbxText(ends[1])}]` : "");
      }), letters[curve.label] ?? "", curve.nfe.join("+") || "–"];
    });
    const reasons = unique(numbers.curves.map((curve) => curve.suites[state.suite].reason).filter((reason) => reason !== null));
    at("pbx-table").replaceChildren(
      ...(rows.length ? [table(`suite ${state.suite}, tokens by ${state.count}`, ["curve", ...numbers.xs.map((x) => `PB${x}`), "group", "forwards"], rows)] : []),
      ...reasons.map((text) => make("p", { class: "quiet" }, `No PBx for ${numbers.curves.length - has.length} of ${numbers.curves.length} curves: `, make("bdi", { text }))));
  };
  show();
  return () => {
    const select = suite.querySelector("select");
    fill(select, suites());
    state.suite = select.value;
    show();
  };
};

const heatMap = (numbers) => {
  const labels = numbers.curves.map((curve, i) => [i, curve.label]);
  let index = 0;
  const show = () => {
    const curve = numbers.curves[index];
    const settings = unique(curve.cells.map((cell) => cell.s));
    const of = new Map(curve.cells.map((cell) => [`${cell.task}\n${cell.s}`, cell]));
    const rows = numbers.tasks.filter((task) => curve.cells.some((cell) => cell.task === task)).map((task) => [task, ...settings.map((setting) => {
      const cell = of.get(`${task}\n${setting}`);
      if (!cell) return make("td", { text: "" });
      const about = `${task} ${setting}: ${cell.score} of ${cell.n} samples${span(cell.i, 1)}${cell.failed ? `, ${cell.failed} failed` : ""}${cell.r ? `; ${cell.r}` : ""}`;
      const node = make("td", { title: about, text: cell.y === null ? "–" : round(cell.y, 0) + (cell.r ? "!" : "") });
      if (cell.y !== null) paint(node, cell.y / 100);
      return node;
    })]);
    at("heat-table").replaceChildren(table(`${curve.label}; !: not all samples`, ["task", ...settings], rows));
  };
  at("heat-controls").append(choice("curve", "curve", labels, (value) => { index = Number(value); show(); }));
  if (labels.length) show();
  return () => { if (numbers.curves.length) show(); };
};
