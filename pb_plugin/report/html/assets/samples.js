// Results one by one: what was asked, what was answered, what it scored, and why.
const PAGE = 20;
const OUTCOMES = [["", "any"], ["right", "full score"], ["wrong", "less than full"], ["unscored", "no score"], ["failed", "failed"]];
const CHANGES = [["", "any"], ["worse", "a lower score"], ["better", "a higher score"], ["other", "another answer"], ["same", "the same"]];
const said = (text) => make("bdi", { class: "said", text: text === "" ? "(empty)" : text });

const sampleBrowser = (texts, openTrace) => {
  const state = { task: "", model: "", curve: "", setting: "", outcome: "", change: "", most: PAGE };
  const all = (field) => [["", "any"], ...unique(texts.cells.map((cell) => cell[field]))];
  const filter = (field, label, options) => choice(field, label, options, (value) => { state[field] = value; state.most = PAGE; show(); });
  at("samples-controls").append(filter("task", "task", all("task")), filter("model", "model", all("model")), filter("curve", "curve", all("curve")),
    filter("setting", "setting", all("setting")), filter("outcome", "result", OUTCOMES),
    ...(texts.before === null ? [] : [filter("change", `since ${texts.before}`, CHANGES)]));
  const body = (cell, row, question) => {
    const parts = [];
    const add = (name, ...values) => parts.push(make("dt", { text: name }), ...values.map((value) => make("dd", {}, value)));
    if (question.reason) add("question", said(question.reason));
    else for (const [role, content] of question.chat) add(`question (${role})`, said(content));
    if (row.error) add("failed", said(row.error));
    else add("answer", said(row.a));
    if (row.b) add(`answer of ${texts.before} (${OUTCOMES.find(([name]) => name === row.b.o)[1]})`, said(row.b.a));
    if (!question.reason) add("valid answers", ...question.answers.map(said), ...(question.rule ? [make("bdi", { text: question.rule })] : []));
    for (const [name, value] of Object.entries(row.scores ?? {})) add(`score ${name}`, make("bdi", { text: value === null ? `none: ${row.why[name]}` : String(value) }));
    const cost = row.error ? "" : `${row.ids.length} positions in ${row.nfe === null ? "an unknown number of" : row.nfe} forwards${row.remasks ? `, ${row.remasks} masked again` : ""}`;
    return [make("dl", {}, parts), ...(row.error ? [] : [make("p", { class: "quiet", text: cost }),
      make("button", { type: "button", text: "Show the trace", onclick: () => openTrace(cell, row) })])];
  };
  const show = () => {
    const found = texts.cells.filter((cell) => ["task", "model", "curve", "setting"].every((field) => !state[field] || cell[field] === state[field]))
      .flatMap((cell) => cell.rows.filter((row) => (!state.outcome || row.o === state.outcome) && (!state.change || row.b?.change === state.change)).map((row) => [cell, row]));
    at("samples-count").textContent = `${found.length} results${found.length > state.most ? `, the first ${state.most} are listed` : ""}`;
    const items = found.slice(0, state.most).map(([cell, row]) => {
      const question = texts.tasks[cell.task][row.q];
      const verdict = OUTCOMES.find(([name]) => name === row.o)[1];
      const item = make("details", { class: "sample" }, make("summary", {}, make("strong", { class: row.o === "right" ? "good" : "bad", text: verdict }),
        " ", make("bdi", { text: `${cell.task} ${question.id}, ${cell.curve}, ${cell.setting}` })));
      item.addEventListener("toggle", () => { if (item.open && item.children.length === 1) item.append(...body(cell, row, question)); });
      return item;
    });
    const more = found.length > state.most ? [make("button", { type: "button", text: "List more", onclick: () => { state.most += PAGE; show(); } })] : [];
    at("samples-list").replaceChildren(...items, ...more);
  };
  show();
};
