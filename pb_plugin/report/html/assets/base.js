"use strict";
// Data arrive compressed; everything is shown through textContent, never as markup.
const unpack = async (id) => {
  const held = JSON.parse(document.getElementById(id).textContent);
  const bytes = Uint8Array.from(atob(held.data), (letter) => letter.charCodeAt(0));
  const plain = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(plain).json();
};

const SVG = "http://www.w3.org/2000/svg";
const put = (node, attributes, children) => {
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "text") node.textContent = value;
    else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children.flat().filter((child) => child !== null));
  return node;
};
const make = (tag, attributes = {}, ...children) => put(document.createElement(tag), attributes, children);
const draw = (tag, attributes = {}, ...children) => put(document.createElementNS(SVG, tag), attributes, children);
const at = (id) => document.getElementById(id);

const choice = (name, label, options, onchange) => {
  const select = make("select", { name, onchange: () => onchange(select.value) });
  fill(select, options);
  return make("label", {}, label, select);
};
// Options are texts, or pairs of a value and the text that is shown.
const fill = (select, options) => {
  const before = select.value;
  select.replaceChildren(...options.map((option) => {
    const [value, text] = Array.isArray(option) ? option : [option, option];
    return make("option", { value, text });
  }));
  if ([...select.options].some((option) => option.value === before)) select.value = before;
};
const unique = (values) => [...new Set(values)];
const round = (value, digits) => (value === null || value === undefined ? "–" : value.toFixed(digits));

const table = (caption, header, rows) => make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
  make("table", {}, make("caption", { text: caption }),
    make("thead", {}, make("tr", {}, header.map((text) => make("th", { scope: "col", text })))),
    make("tbody", {}, rows.map((row) => make("tr", {}, row.map((cell, place) => {
      if (cell instanceof Node) return cell;
      return place === 0 ? make("th", { scope: "row", text: cell }) : make("td", { text: cell });
    }))))));

// From dark blue to yellow in even steps of lightness, as seen with any kind of colour vision (cividis).
const STOPS = [[0, 34, 78], [39, 62, 108], [87, 93, 109], [124, 123, 120], [166, 157, 117], [211, 193, 100], [254, 232, 56]];
const shade = (share) => {
  const place = Math.min(Math.max(share, 0), 1) * (STOPS.length - 1);
  const low = Math.min(Math.floor(place), STOPS.length - 2);
  return STOPS[low].map((value, i) => Math.round(value + (place - low) * (STOPS[low + 1][i] - value)));
};
const paint = (node, share) => {
  const rgb = shade(share);
  const light = rgb.map((value) => ((value / 255) ** 2.2)).reduce((sum, value, i) => sum + value * [.2126, .7152, .0722][i], 0);
  node.style.backgroundColor = `rgb(${rgb.join(",")})`;
  node.style.color = light > .18 ? "#000000" : "#ffffff";
};
