/**
 * The tokens in a text of decimal numbers.
 *
 * @param {string} text
 * @returns {number[]}
 */
export function tokens(text) {
    return String(text).split(/\s+/).filter(Boolean).map((word) => token_of(/^\d+$/.test(word) ? Number(word) : word, "a token"));
}
