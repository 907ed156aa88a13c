const token_by_piece = new Map(pieces.map((piece, token) => [piece, token]).reverse()); // the first of equal ones
const longest_piece = Math.max(...new Set(pieces.map((piece) => piece.length)));

/**
 * The tokens of a text, split from left to right into the longest symbols that match. The tokenizer of a model that
 * has one may split the text in another way: pass its tokens to such a model.
 *
 * @param {string} text
 * @returns {number[]}
 */
export function tokens(text) {
    const whole = HOLDS_BYTES ? bytes_as_text(new TextEncoder().encode(string_of(text))) : string_of(text);
    const result = [], unknown = new Set();
    for (let start = 0; start < whole.length;) {
        let size = Math.min(longest_piece, whole.length - start);
        while (size > 0 && !token_by_piece.has(whole.slice(start, start + size)))
            size--;
        if (size > 0)
            result.push(token_by_piece.get(whole.slice(start, start + size)));
        else
            unknown.add(String.fromCodePoint(whole.codePointAt(start)));
        start += size || String.fromCodePoint(whole.codePointAt(start)).length;
    }
    if (unknown.size > 0) {
        const list = [...unknown].slice(0, 10).map(named).join(", ");
        throw new RangeError(`not among the ${OUTPUTS} symbols of the vocabulary: ${list}; leave them out.`);
    }
    return result;
}

/** An unknown symbol in a message: of bytes the number. */
function named(symbol) {
    return HOLDS_BYTES ? `0x${symbol.charCodeAt(0).toString(16).padStart(2, "0")}` : JSON.stringify(symbol);
}

function bytes_as_text(bytes) {
    return Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
}
