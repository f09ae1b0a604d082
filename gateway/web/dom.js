// Builds elements from plain values; text is always text.

/** h('p', { class: 'dim', onclick }, 'words', node, [more]) */
export function h(tag, properties, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if (name === 'dataset') Object.assign(element.dataset, value);
    else if (name === 'class') element.className = value;
    else if (name === 'value' || name === 'checked' || name === 'disabled' || name === 'readOnly') element[name] = value;
    else element.setAttribute(name, value === true ? '' : String(value));
  }
  element.append(...flat(children));
  return element;
}

/** Puts these children in place of whatever the element had. */
export function fill(element, ...children) {
  element.replaceChildren(...flat(children));
  return element;
}

function flat(children) {
  return children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false && child !== '');
}

/** "1 image", "12 images" */
export const count = (number, one, many = one + 's') => `${number} ${number === 1 ? one : many}`;

/** The parts that are there, with a middle dot between them. */
export const joined = (...parts) => parts.flat().filter((part) => part !== null && part !== undefined && part !== '').join(' · ');

/** Whether typing would go into text: then no single key is a command. */
export function inText(target) {
  return Boolean(target?.closest?.('input:not([type=radio],[type=checkbox],[type=button]), textarea, select, [contenteditable]'));
}
