// Dialogs on the browser's own element: the focus stays inside, Escape closes, the focus returns where it was.

import { fill, h } from '/web/dom.js';

/**
 * Opens a dialog. Buttons: { label, primary, danger, keys, act } where `act` may return false (or a promise of it) to keep the dialog
 * open. Answers { element, close, say, busy }, and `closed`, a promise of the value it was closed with.
 */
export function open({ title, body, buttons = [], class: kind = '', stays = false, onkeydown }) {
  const alert = h('p', { class: 'alert', role: 'alert', hidden: true });
  const content = h('div', { class: 'dialog-body' }, body);
  const form = h('form', { method: 'dialog', novalidate: true },
    h('h2', { id: 'dialog-title' }, title), alert, content);
  const element = h('dialog', { class: kind, 'aria-labelledby': 'dialog-title', onkeydown }, form);
  let settle;
  const closed = new Promise((resolve) => { settle = resolve; });
  const before = document.activeElement;
  let value = null;

  const close = (answer = null) => {
    value = answer;
    element.close();
  };
  const say = (text, tone = 'bad') => {
    alert.hidden = !text;
    alert.dataset.tone = tone;
    alert.textContent = text ?? '';
    if (text) alert.scrollIntoView({ block: 'nearest' });
  };
  const run = async (button, control) => {
    if (control?.disabled) return;
    if (!button.act) return close(button.value ?? null);
    const all = [...form.querySelectorAll('button')].filter((one) => !one.disabled);
    all.forEach((one) => { one.disabled = true; });
    element.setAttribute('aria-busy', 'true');
    try {
      const answer = await button.act();
      if (answer !== false) close(answer ?? button.value ?? true);
    } finally {
      element.removeAttribute('aria-busy');
      all.forEach((one) => { one.disabled = false; });
    }
  };
  const row = h('div', { class: 'buttons' });
  const setButtons = (list) => {
    fill(row, list.map((button) => {
      const control = h('button', {
        type: button.primary ? 'submit' : 'button',
        class: button.danger ? 'danger' : button.primary ? 'primary' : '',
        disabled: button.disabled,
        dataset: { act: button.name ?? '' },
      }, button.label, button.keys ? h('kbd', null, button.keys) : null);
      if (!button.primary) control.addEventListener('click', () => run(button, control));
      else control.run = () => run(button, control);
      return control;
    }));
  };
  setButtons(buttons);
  form.append(row);
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    const control = row.querySelector('button[type=submit]');
    control?.run?.();
  });
  element.addEventListener('cancel', (event) => {
    if (stays || element.hasAttribute('aria-busy')) event.preventDefault();
  });
  element.addEventListener('close', () => {
    element.remove();
    if (before?.isConnected) before.focus?.();
    else document.dispatchEvent(new Event('focus-lost'));
    settle(value);
  });
  document.body.append(element);
  element.showModal();
  (element.querySelector('[autofocus]') ?? row.querySelector('button.primary') ?? row.querySelector('button'))?.focus();
  return { element, content, close, say, setButtons, closed };
}

/** A question with one text to fill in; a promise of the text, or null. */
export async function askText({ title, says, label, confirm, danger = false, minimum = 3 }) {
  const field = h('textarea', { rows: 3, autofocus: true, id: 'asked-text', maxlength: 500 });
  const dialog = open({
    title,
    body: [says ? h('p', null, says) : null, h('label', { for: 'asked-text' }, label), field],
    buttons: [
      { label: 'Cancel', value: null },
      {
        label: confirm,
        primary: true,
        danger,
        act: () => {
          const text = field.value.trim().replace(/\s+/g, ' ');
          if (text.length >= minimum) return text;
          dialog.say('Say why, in a few words.');
          field.focus();
          return false;
        },
      },
    ],
  });
  return dialog.closed;
}
