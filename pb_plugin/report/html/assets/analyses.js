// The paper's analyses: the oracle of a sweep, parallelizability with the benefit of order, scores minus ideal.
const missing = (lines) => lines.map((text) => make("p", { class: "quiet" }, "missing: ", make("bdi", { text })));

// One row for every oracle over a group of tasks: where its point lies.
const oraclesOver = (numbers, tasks) => {
  const rows = numbers.analyses.oracle.rows.filter((row) => row.tasks === tasks);
  return unique(rows.map((row) => row.oracle)).map((name) => rows.find((row) => row.oracle === name));
};

const oracleTable = (numbers) => {
  const { rows, missing: lacking } = numbers.analyses.oracle;
  const groups = unique(rows.map((row) => row.tasks));
  const show = (group) => at("oracle-table").replaceChildren(
    ...(group ? [table(`over the tasks ${group}, tokens by canvas`,
      ["curve", "oracle", "its score", "its tokens per step", "score at these", "gap", "tokens per step at its score"],
      rows.filter((row) => row.tasks === group).map((row) => [row.curve, row.oracle, round(row.score, 1), round(row.tps, 2),
        round(row.score_at_tps, 1), round(row.gap_in_score, 1), pbxText({ v: row.tps_at_score.value, c: row.tps_at_score.censored })]))] : []),
    ...missing(lacking));
  if (groups.length) at("oracle-controls").append(choice("oracle", "over", groups, show));
  show(groups[0]);
};

const scatterPlot = (points, models, width) => {
  const height = 320, left = 52, right = 12, top = 12, bottom = 44;
  const range = (values, least) => {
    const low = Math.min(...values), high = Math.max(...values), room = Math.max((high - low) * .1, least);
    return [low - room, high + room];
  };
  const [x0, x1] = range(points.map((point) => point.x), .5), [y0, y1] = range([0, ...points.map((point) => point.y)], 1);
  const across = (x) => left + (width - left - right) * (x - x0) / (x1 - x0), up = (y) => top + (height - top - bottom) * (y1 - y) / (y1 - y0);
  const svg = draw("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `Benefit of order over parallelizability, ${points.length} tasks; the numbers are in the table below` });
  for (const share of [0, .25, .5, .75, 1]) {
    const x = x0 + share * (x1 - x0), y = y0 + share * (y1 - y0);
    svg.append(draw("line", { class: "grid", x1: across(x), x2: across(x), y1: top, y2: height - bottom }), draw("line", { class: "grid", x1: left, x2: width - right, y1: up(y), y2: up(y) }),
      draw("text", { x: across(x), y: height - bottom + 18, "text-anchor": "middle", text: x.toFixed(1) }), draw("text", { x: left - 6, y: up(y) + 4, "text-anchor": "end", text: y.toFixed(1) }));
  }
  svg.append(draw("line", { class: "read", x1: left, x2: width - right, y1: up(0), y2: up(0) }),
    draw("text", { x: (left + width - right) / 2, y: height - 6, "text-anchor": "middle", text: "parallelizability" }),
    draw("text", { x: 12, y: (top + height - bottom) / 2, "text-anchor": "middle", transform: `rotate(-90 12 ${(top + height - bottom) / 2})`, text: "benefit of order" }));
  for (const point of points) {
    const place = models.indexOf(point.model), edge = across(point.x) > width - 110;
    svg.append(mark(SHAPES[place % SHAPES.length], across(point.x), up(point.y), `var(--c${place % COLOURS})`, `${point.task}, ${point.model}: ${round(point.x, 2)}, ${round(point.y, 2)}`),
      draw("text", { x: across(point.x) + (edge ? -8 : 8), y: up(point.y) + 4, "text-anchor": edge ? "end" : "start", text: point.task }));
  }
  return svg;
};

const scatter = (numbers) => {
  const { parallelizability: wide, order_benefit: order } = numbers.analyses;
  const benefit = new Map(order.rows.map((row) => [`${row.task}\n${row.model}`, row.value]));
  const rows = wide.rows.map((row) => ({ task: row.task, model: row.model, x: row.value, y: benefit.get(`${row.task}\n${row.model}`) ?? null, over: row.over.join(",") }));
  const points = rows.filter((row) => row.y !== null), models = unique(points.map((point) => point.model));
  if (points.length) at("scatter-chart").append(scatterPlot(points, models, Math.max(280, at("scatter-chart").clientWidth)));
  at("scatter-table").append(
    ...(rows.length ? [table("by task and model", ["task", "model", "parallelizability", "over k", "benefit of order"], rows.map((row) => [row.task, row.model, round(row.x, 2), row.over, round(row.y, 2)]))] : []),
    ...missing([...wide.missing, ...order.missing]));
};

// From orange (below) over nothing to blue (above), as seen with any kind of colour vision.
const diverge = (node, points) => {
  const strength = Math.min(Math.abs(points) / 100, 1) * .85 + (points ? .05 : 0);
  node.style.backgroundColor = `color-mix(in srgb, var(${points < 0 ? "--c1" : "--c0"}) ${Math.round(40 * strength)}%, transparent)`;
};
const againstIdeal = (numbers) => {
  const { rows, missing: lacking } = numbers.analyses.against_ideal;
  const curves = unique(rows.map((row) => row.curve));
  const show = (curve) => {
    const own = rows.filter((row) => row.curve === curve), settings = unique(own.map((row) => row.setting));
    const lines = unique(own.map((row) => row.task)).map((task) => [task, ...settings.map((setting) => {
      const row = own.find((one) => one.task === task && one.setting === setting);
      if (!row) return make("td", { text: "" });
      const node = make("td", { title: `${round(row.score, 1)} %, ideal ${round(row.ideal, 1)} %`, text: `${row.difference > 0 ? "+" : ""}${round(row.difference, 0)}` });
      diverge(node, row.difference);
      return node;
    })]);
    at("reference-table").replaceChildren(...(lines.length ? [table(`${curve} minus ideal, points`, ["task", ...settings], lines)]
      : [make("p", { class: "quiet", text: "The run has no model beside ideal at the settings of ideal." })]), ...missing(lacking));
  };
  if (curves.length) at("reference-controls").append(choice("reference", "curve", curves, show));
  show(curves[0]);
};

const analyses = (numbers) => {
  oracleTable(numbers);
  scatter(numbers);
  againstIdeal(numbers);
};
