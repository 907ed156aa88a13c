const token_by_piece = new Map(pieces.map((piece, token) => [piece, token]));
const SPACE = "\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";
const LETTER = "\\p{L}\\p{N}_", MARK = "\\p{M}\\u200c\\u200d";
const WORD = new RegExp(
    ` ?[${LETTER}]+(?:[${MARK}]+[${LETTER}]*)*| ?[^${LETTER}${SPACE}]+|[${SPACE}]+(?![^${SPACE}])|[${SPACE}]+`, "gu");

/**
 * The tokens of a text: words, punctuation, each with the space before it, and other white space. An unknown
 * word becomes token 0.
 *
 * @param {string} text
 * @returns {number[]}
 */
export function tokens(text) {
    return Array.from(string_of(text).matchAll(WORD), ([word]) => token_by_piece.get(word) ?? 0);
}
