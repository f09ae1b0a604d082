// A withheld picture: frames that change in place, and rectangles that are dragged over it. The fields of the form are what is sent:
// whatever is dragged stands in them, and whatever is typed there stands on the picture.

const stage = document.getElementById('stage');
const image = stage?.querySelector('img');
const svg = stage?.querySelector('svg');
const form = document.getElementById('draw');
const list = document.getElementById('rectangles');
const EDGES = ['left', 'top', 'right', 'bottom'];

/** Why there is no picture: the page that was answered in its place says it. */
async function explain() {
  const place = document.querySelector('.trouble');
  try {
    const answer = await fetch(image.src);
    if (answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
    place.textContent = page.querySelector('.alert')?.textContent ?? 'The picture cannot be shown.';
  } catch {
    place.textContent = 'The agent does not answer. Load the page again.';
  }
  place.hidden = false;
  stage.classList.add('empty-stage');
}

function fields(row) {
  return EDGES.map((edge) => row.querySelector(`input[name="${edge}"]`));
}

/** What the fields of a row say; nothing while they say no rectangle. */
function numbers(row) {
  const four = fields(row).map((field) => (field.value === '' ? NaN : Number(field.value)));
  const [left, top, right, bottom] = four;
  return four.every(Number.isInteger) && left < right && top < bottom ? four : null;
}

function rectangle([left, top, right, bottom], kind) {
  const drawn = document.createElementNS('http://www.w3.org/2000/svg', 'rect');
  const attributes = { x: left, y: top, width: right - left, height: bottom - top, class: kind };
  for (const [name, value] of Object.entries(attributes)) drawn.setAttribute(name, value);
  return drawn;
}

/** Draws what the fields say, and `dragged` with it. */
function paint(dragged) {
  for (const old of svg.querySelectorAll('.drawn')) old.remove();
  for (const row of list.children) {
    const four = numbers(row);
    const here = row.contains(document.activeElement) ? 'drawn here' : 'drawn';
    if (four) svg.append(rectangle(four, here));
  }
  if (dragged) svg.append(rectangle(dragged, 'drawn here'));
}

function add() {
  const row = document.getElementById('rectangle').content.firstElementChild.cloneNode(true);
  list.append(row);
  row.querySelector('[data-remove]').hidden = false;
  return row;
}

function remove(row) {
  if (list.children.length > 1) row.remove();
  else for (const field of fields(row)) field.value = '';
  paint();
}

/** So near to an edge, in pixels of the screen, the edge is meant. */
const NEAR = 6;

/** The pixel under the pointer, between the edges of the picture. */
function under(event) {
  const box = svg.getBoundingClientRect();
  const { rows, columns } = form.dataset;
  const part = (at, from, length) => {
    if (at < from + NEAR) return 0;
    return at > from + length - NEAR ? 1 : (at - from) / length;
  };
  return [part(event.clientX, box.left, box.width) * columns, part(event.clientY, box.top, box.height) * rows];
}

function span([x, y], [u, v]) {
  return [Math.floor(Math.min(x, u)), Math.floor(Math.min(y, v)), Math.ceil(Math.max(x, u)), Math.ceil(Math.max(y, v))];
}

function dragging() {
  let from = null;
  svg.classList.add('pen');
  svg.addEventListener('pointerdown', (event) => {
    if (event.button !== 0 || stage.classList.contains('empty-stage')) return;
    event.preventDefault();
    svg.setPointerCapture(event.pointerId);
    from = under(event);
  });
  svg.addEventListener('pointermove', (event) => { if (from) paint(span(from, under(event))); });
  svg.addEventListener('pointerup', (event) => {
    if (!from) return;
    const four = span(from, under(event));
    from = null;
    // a click is no rectangle
    if (four[2] - four[0] > 2 && four[3] - four[1] > 2) {
      const free = [...list.children].find((row) => fields(row).every((field) => field.value === '')) ?? add();
      fields(free).forEach((field, index) => { field.value = four[index]; });
    }
    paint();
  });
  const stop = () => { from = null; paint(); };
  svg.addEventListener('pointercancel', stop);
  document.addEventListener('keydown', (event) => { if (event.key === 'Escape' && from) stop(); });
}

/** Another frame, or another look, without losing what is drawn. */
function frames() {
  const choice = document.querySelector('form.frames');
  if (!choice) return;
  const change = (event) => {
    event.preventDefault();
    if (!choice.reportValidity()) return;
    const asked = new URLSearchParams(new FormData(choice));
    document.querySelector('.trouble').hidden = true;
    stage.classList.remove('empty-stage');
    image.src = `${new URL(image.src).pathname}?${asked}`;
  };
  choice.querySelector('button').hidden = true; // what is chosen is shown at once
  choice.addEventListener('submit', change);
  choice.addEventListener('change', change);
}

if (image) {
  image.addEventListener('error', explain);
  if (image.complete && image.naturalWidth === 0) explain();
  frames();
}
if (image && form) {
  const another = document.getElementById('another');
  another.hidden = false;
  another.addEventListener('click', () => fields(add())[0].focus());
  for (const button of list.querySelectorAll('[data-remove]')) button.hidden = false;
  list.addEventListener('click', (event) => {
    const button = event.target.closest('[data-remove]');
    if (button) remove(button.closest('li'));
  });
  for (const kind of ['input', 'focusin', 'focusout']) list.addEventListener(kind, () => paint());
  dragging();
  paint();
}
