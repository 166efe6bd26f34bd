// The platform counts characters as code points; a browser counts UTF-16 units. Chinese names outside of the basic plane differ.

/** Return the UTF-16 offset of code point `count` of `text`, at most its end. */
export function unitsOf(text, count) {
  let units = 0;
  for (let seen = 0; seen < count && units < text.length; seen += 1) {
    units += text.codePointAt(units) > 0xffff ? 2 : 1;
  }
  return units;
}
