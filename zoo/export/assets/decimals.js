/**
 * The tokens in a text of decimal numbers.
 *
 * @param {string} text
 * @returns {number[]}
 */
export function tokens(text) {
    const words = string_of(text).split(/\s+/).filter(Boolean);
    return words.map((word) => token_of(/^\d+$/.test(word) ? Number(word) : word, "a token"));
}
