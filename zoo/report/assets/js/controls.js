// Controls: button groups, lists, steppers.

/** A group of buttons, one of them pressed. */
function choice(label, options, value, onchange) {
  const buttons = options.map(([key, text]) =>
    el("button", {type: "button", "aria-pressed": String(key === value), onclick: () => pick(key)}, text));
  function pick(key) {
    options.forEach(([other], index) => buttons[index].setAttribute("aria-pressed", String(other === key)));
    onchange(key);
  }
  return el("div", {class: "choice", role: "group", "aria-label": label},
    el("span", {class: "choice-label", "aria-hidden": "true"}, label), buttons);
}

/** A list, or a button group for few options. */
function selection(label, options, value, onchange) {
  if (options.length <= 3 && options.every(([, text]) => text.length <= 12)) {
    return choice(label, options, value, onchange);
  }
  const list = el("select", {onchange: () => onchange(list.value)},
    options.map(([key, text]) => el("option", {value: key, selected: key === value}, text)));
  return el("label", {class: "choice"}, el("span", {class: "choice-label"}, label), list);
}

/** Buttons for previous and next, and the current position. */
function stepper(label, onstep) {
  const text = el("output", {class: "stepper-text"});
  const node = el("div", {class: "stepper", role: "group", "aria-label": label},
    el("button", {type: "button", "aria-label": `previous ${label}`, onclick: () => onstep(-1)}, "‹"),
    text,
    el("button", {type: "button", "aria-label": `next ${label}`, onclick: () => onstep(1)}, "›"));
  return {node, show: (words) => { text.textContent = words; }};
}

/** The switch of the theme: light, dark or the theme of the system. */
function themeSwitch() {
  const root = document.documentElement;
  return choice("Theme", [["auto", "Auto"], ["light", "Light"], ["dark", "Dark"]], "auto", (theme) => {
    if (theme === "auto") delete root.dataset.theme;
    else root.dataset.theme = theme;
  });
}
