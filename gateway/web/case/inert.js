// Takes over a document that the gateway rendered as plain elements: words and structure, nothing that acts or loads.

const ALLOWED = new Set(['ARTICLE', 'SECTION', 'HEADER', 'FOOTER', 'DIV', 'P', 'SPAN', 'BR', 'HR', 'H1', 'H2', 'H3', 'H4', 'UL', 'OL', 'LI', 'DL', 'DT', 'DD',
  'TABLE', 'THEAD', 'TBODY', 'TR', 'TH', 'TD', 'STRONG', 'EM', 'B', 'I', 'SMALL', 'TIME', 'ADDRESS', 'PRE', 'ABBR']);
const KEPT = new Set(['lang', 'dir', 'datetime']);
const DROPPED = new Set(['SCRIPT', 'STYLE', 'TEMPLATE', 'TITLE', 'META', 'LINK', 'OBJECT', 'IFRAME']);

function copy(from, into) {
  for (const node of from.childNodes) {
    if (node.nodeType === Node.TEXT_NODE) into.append(node.textContent);
    if (node.nodeType !== Node.ELEMENT_NODE || DROPPED.has(node.tagName)) continue;
    if (!ALLOWED.has(node.tagName)) {
      copy(node, into);
      continue;
    }
    const element = document.createElement(node.tagName);
    for (const { name, value } of node.attributes) if (KEPT.has(name)) element.setAttribute(name, value);
    if (node.classList.contains('notice')) element.className = 'notice';
    copy(node, element);
    into.append(element);
  }
}

export function inert(html) {
  const out = document.createDocumentFragment();
  copy(new DOMParser().parseFromString(String(html ?? ''), 'text/html').body, out);
  return out;
}
