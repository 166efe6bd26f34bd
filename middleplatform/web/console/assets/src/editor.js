// <sql-editor>: a text area that completes names of the catalogue and underlines what is refused, at the very place.
// See ../README.md. The editor lives in a shadow tree: there it may adopt style sheets, which the page's content
// security policy permits; a <style> element it would not.
import { autocompletion, closeBrackets, closeBracketsKeymap, completeFromList, completionKeymap } from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap } from "@codemirror/commands";
import { keywordCompletionSource, PostgreSQL, schemaCompletionSource } from "@codemirror/lang-sql";
import { bracketMatching, syntaxHighlighting } from "@codemirror/language";
import { linter, lintGutter, lintKeymap, setDiagnostics } from "@codemirror/lint";
import { search, searchKeymap } from "@codemirror/search";
import { Compartment, EditorState } from "@codemirror/state";
import { drawSelection, EditorView, highlightActiveLine, highlightActiveLineGutter, keymap, lineNumbers } from "@codemirror/view";
import { unitsOf } from "./points.js";
import { highlighting, theme } from "./theme.js";

const CHECK_AFTER_MS = 500;
const CHINESE = document.documentElement.lang.startsWith("zh");

const PHRASES = CHINESE
  ? {
      "Control character": "控制字符", "Selection deleted": "已删除所选内容", "Diagnostics": "问题", "No diagnostics": "没有问题",
      "Completions": "补全", "Find": "查找", "Replace": "替换", "next": "下一个", "previous": "上一个", "all": "全部",
      "match case": "区分大小写", "by word": "全字匹配", "regexp": "正则表达式", "replace": "替换", "replace all": "全部替换",
      "close": "关闭", "current match": "当前匹配", "on line": "行", "replaced $ matches": "已替换 $ 处", "Go to line": "转到行", "go": "前往",
    }
  : {};

class SqlEditor extends HTMLElement {
  #area;
  #check = null;
  #language = new Compartment();
  #view = null;

  connectedCallback() {
    this.#area = this.querySelector("textarea");
    if (!this.#area || this.#view) return;
    const host = document.createElement("div");
    const root = host.attachShadow({ mode: "open" });
    this.append(host);
    const label = this.#area.labels[0];
    this.#view = new EditorView({ root, parent: root, state: this.#state(label?.textContent ?? "SQL") });
    label?.addEventListener("click", () => this.#view.focus());
    this.#area.required = false; // nobody could see which field is meant
    this.#area.hidden = true;
    this.#area.form?.addEventListener("reset", () => setTimeout(() => this.replace(this.#area.value)));
    this.#complete();
    this.#show(JSON.parse(this.getAttribute("diagnostics") || "[]"));
  }

  /** The text as it stands. */
  get value() {
    return this.#view.state.doc.toString();
  }

  /** Put `text` in place of everything and leave the cursor at its end. */
  replace(text) {
    this.#view.dispatch({ changes: { from: 0, to: this.#view.state.doc.length, insert: text }, selection: { anchor: text.length } });
    this.#view.focus();
  }

  #state(label) {
    const checks = this.getAttribute("check-url");
    return EditorState.create({
      doc: this.#area.value,
      extensions: [
        lineNumbers(), history(), drawSelection(), bracketMatching(), closeBrackets(), highlightActiveLine(), highlightActiveLineGutter(),
        autocompletion({ aboveCursor: false }), search({ top: true }), lintGutter(),
        syntaxHighlighting(highlighting), theme, EditorView.lineWrapping, EditorState.phrases.of(PHRASES),
        EditorView.contentAttributes.of({ "aria-label": label, spellcheck: "false", autocapitalize: "off" }),
        EditorView.domEventHandlers({ beforeinput: typedOver }),
        this.#language.of(languageOf({ tables: {} })),
        checks ? linter((view) => this.#checked(view, checks), { delay: CHECK_AFTER_MS }) : [],
        EditorView.updateListener.of((update) => update.docChanged && this.#keep()),
        keymap.of([
          { key: "Mod-Enter", run: () => (this.#area.form?.requestSubmit(), true) },
          ...closeBracketsKeymap, ...completionKeymap, ...lintKeymap, ...searchKeymap, ...historyKeymap, ...defaultKeymap,
        ]),
      ],
    });
  }

  #keep() {
    this.#area.value = this.value;
    this.#area.dispatchEvent(new Event("input", { bubbles: true }));
  }

  async #complete() {
    const address = this.getAttribute("completions-url");
    if (!address) return;
    const found = await json(address);
    if (found) this.#view.dispatch({ effects: this.#language.reconfigure(languageOf(found)) });
  }

  async #checked(view, address) {
    this.#check?.abort();
    this.#check = new AbortController();
    const sql = view.state.doc.toString();
    if (!sql.trim()) return [];
    const body = new URLSearchParams(new FormData(this.#area.form ?? undefined));
    body.set("sql", sql);
    const token = document.querySelector('meta[name="csrf-token"]')?.content ?? "";
    const found = await json(address, { method: "POST", body, headers: { "X-CSRF-Token": token }, signal: this.#check.signal });
    if (!found) return [];
    this.dispatchEvent(new CustomEvent("sql-checked", { bubbles: true, detail: found }));
    return diagnosticsOf(found.diagnostics ?? [], sql);
  }

  #show(found) {
    if (!found.length) return;
    this.#view.dispatch(setDiagnostics(this.#view.state, diagnosticsOf(found, this.value)));
  }
}

/** Replace a selection by what is typed. Left to itself Chromium keeps its look by a style attribute, which the content
    security policy stops, and reports. */
function typedOver(event, view) {
  const { from, to, empty } = view.state.selection.main;
  if (event.inputType !== "insertText" || !event.data || event.isComposing || empty) return false;
  const insert = () => view.state.update(view.state.replaceSelection(event.data), { scrollIntoView: true, userEvent: "input.type" });
  const handled = view.state.facet(EditorView.inputHandler).some((handler) => handler(view, from, to, event.data, insert));
  if (!handled) view.dispatch(insert());
  event.preventDefault();
  return true;
}

/** Return what the address answers, or null: an editor without completions is still one. */
async function json(address, settings = {}) {
  try {
    const response = await fetch(address, { ...settings, headers: { Accept: "application/json", ...settings.headers } });
    return response.ok ? await response.json() : null;
  } catch {
    return null;
  }
}

function languageOf({ tables, labels = {}, keywords }) {
  const schema = {};
  for (const [name, columns] of Object.entries(tables)) {
    const children = columns.map((each) => ({
      label: each.name, type: "property", detail: each.type ?? "", info: each.detail || undefined,
    }));
    schema[name] = { self: { label: name.split(".").at(-1), type: "type", detail: labels[name] ?? "" }, children };
  }
  const words = keywords
    ? completeFromList(keywords.map((each) => ({ label: each, type: "keyword", boost: -1 })))
    : keywordCompletionSource(PostgreSQL, true);
  const data = PostgreSQL.language.data;
  return [
    PostgreSQL.language,
    data.of({ autocomplete: schemaCompletionSource({ dialect: PostgreSQL, schema }) }),
    data.of({ autocomplete: words }),
  ];
}

function diagnosticsOf(found, sql) {
  return found.map((each) => {
    const from = unitsOf(sql, each.from);
    return {
      from,
      to: Math.max(from, unitsOf(sql, each.to)),
      severity: each.severity ?? "error",
      message: each.message,
      renderMessage: () => told(each),
      actions: (each.actions ?? []).map((action) => ({ name: action.label, apply: (view) => act(view, action, sql) })),
    };
  }).sort((one, other) => one.from - other.from);
}

function told({ message, rule, owner }) {
  const box = document.createElement("div");
  const said = document.createElement("p");
  said.className = "said";
  said.textContent = message;
  box.append(said);
  const by = [rule && (CHINESE ? `规则 ${rule}` : `rule ${rule}`), owner].filter(Boolean);
  if (by.length) {
    const line = document.createElement("p");
    line.className = "by";
    line.textContent = by.join(" · ");
    box.append(line);
  }
  return box;
}

function act(view, action, sql) {
  if (action.href) {
    const target = new URL(action.href, location.href);
    if (target.origin === location.origin) location.assign(target);
    return;
  }
  const { from, to, text } = action.replace;
  view.dispatch({ changes: { from: unitsOf(sql, from), to: unitsOf(sql, to), insert: text }, userEvent: "input.complete" });
  view.focus();
}

customElements.define("sql-editor", SqlEditor);
