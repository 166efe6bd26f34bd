// Colors are custom properties of the page's style sheet, which reach into shadow trees: one place for light and dark.
import { HighlightStyle } from "@codemirror/language";
import { EditorView } from "@codemirror/view";
import { tags } from "@lezer/highlight";

export const theme = EditorView.theme({
  "&": {
    color: "var(--text)",
    backgroundColor: "var(--field)",
    border: "1px solid var(--line-strong)",
    borderRadius: "var(--round)",
    fontSize: "0.9375rem",
    minHeight: "10rem",
    maxHeight: "32rem",
  },
  "&.cm-focused": { outline: "3px solid var(--focus)", outlineOffset: "1px" },
  ".cm-scroller": { fontFamily: "var(--mono)", lineHeight: "1.6", overflow: "auto" },
  ".cm-content": { caretColor: "var(--text)", padding: "0.5rem 0" },
  ".cm-cursor": { borderLeftColor: "var(--text)" },
  ".cm-gutters": {
    color: "var(--muted)",
    backgroundColor: "var(--ground)",
    borderRight: "1px solid var(--line)",
    borderRadius: "var(--round) 0 0 var(--round)",
  },
  ".cm-activeLine, .cm-activeLineGutter": { backgroundColor: "var(--tint)" },
  "&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground": {
    backgroundColor: "var(--selection)",
  },
  ".cm-matchingBracket": { backgroundColor: "var(--selection)", outline: "1px solid var(--line-strong)" },
  ".cm-tooltip, .cm-panels": {
    color: "var(--text)",
    backgroundColor: "var(--card)",
    border: "1px solid var(--line-strong)",
    borderRadius: "var(--round)",
    boxShadow: "var(--shadow)",
    maxWidth: "min(36rem, 92vw)",
  },
  ".cm-panels button, .cm-panels input": { font: "inherit" },
  ".cm-tooltip-autocomplete > ul": { fontFamily: "var(--mono)", maxHeight: "16rem" },
  ".cm-tooltip-autocomplete > ul > li[aria-selected]": { color: "var(--on-main)", backgroundColor: "var(--main)" },
  ".cm-completionDetail": { color: "inherit", fontStyle: "normal", opacity: "0.85" },
  ".cm-lintRange-error": {
    backgroundImage: "none",
    textDecoration: "underline wavy var(--bad) 1.5px",
    textUnderlineOffset: "3px",
    textDecorationSkipInk: "none",
  },
  ".cm-lintRange-warning": {
    backgroundImage: "none",
    textDecoration: "underline wavy var(--warn) 1.5px",
    textUnderlineOffset: "3px",
  },
  ".cm-lintRange-active": { backgroundColor: "var(--bad-tint)" },
  ".cm-diagnostic": { padding: "0.5rem 0.75rem", borderLeft: "4px solid var(--info)" },
  ".cm-diagnostic-error": { borderLeftColor: "var(--bad)" },
  ".cm-diagnostic-warning": { borderLeftColor: "var(--warn)" },
  ".cm-diagnosticAction": {
    display: "inline-block",
    margin: "0.375rem 0.5rem 0 0",
    padding: "0.25rem 0.625rem",
    font: "inherit",
    color: "var(--on-main)",
    backgroundColor: "var(--main)",
    border: "0",
    borderRadius: "var(--round)",
    cursor: "pointer",
  },
  ".cm-diagnosticAction:focus-visible": { outline: "3px solid var(--focus)", outlineOffset: "1px" },
  ".said": { margin: "0" },
  ".by": { margin: "0.125rem 0 0", color: "var(--muted)", fontSize: "0.875rem" },
});

export const highlighting = HighlightStyle.define([
  { tag: tags.keyword, color: "var(--code-keyword)", fontWeight: "600" },
  { tag: [tags.string, tags.special(tags.string)], color: "var(--code-string)" },
  { tag: [tags.number, tags.bool, tags.null], color: "var(--code-number)" },
  { tag: [tags.lineComment, tags.blockComment], color: "var(--muted)", fontStyle: "italic" },
  { tag: tags.typeName, color: "var(--code-type)" },
]);
