/**
 * Random numbers: draw number n of a seed is the n-th of its sequence, by SplitMix64, as in zoo itself.
 */
export class Random {
    /**
     * @param {number|bigint} [seed] - an integer from 0 on, from 2 ** 53 on as a BigInt
     * @param {number} [draws] - how many numbers were drawn
     */
    constructor(seed = 0, draws = 0) {
        const is_integer = typeof seed === "bigint" || Number.isSafeInteger(seed);
        check(is_integer && seed >= 0, "seed", seed, "an integer from 0 on, from 2 ** 53 on as a BigInt");
        check(Number.isSafeInteger(draws) && draws >= 0, "draws", draws, "an integer from 0 on");
        this.seed = BigInt(seed);
        this.draws = draws;
    }

    /**
     * The next number, from zero to less than one.
     *
     * @returns {number}
     */
    uniform() {
        const gamma = 0x9E3779B97F4A7C15n, start = scramble(this.seed + gamma);
        const bits = scramble(start + BigInt(this.draws++) * gamma + gamma);
        return Number(bits >> 11n) / 2 ** 53;
    }
}

function scramble(state) {
    let z = BigInt.asUintN(64, state);
    z = BigInt.asUintN(64, (z ^ (z >> 30n)) * 0xBF58476D1CE4E5B9n);
    z = BigInt.asUintN(64, (z ^ (z >> 27n)) * 0x94D049BB133111EBn);
    return z ^ (z >> 31n);
}

function check_temperature(temperature) {
    const is_valid = typeof temperature === "number" && temperature >= 0 && temperature < Infinity;
    check(is_valid, "temperature", temperature, "a number from 0 on");
}

function string_of(text) {
    check(typeof text === "string", "text", text, "a string", TypeError);
    return text;
}

/**
 * The softmax of scores / temperature. With a temperature of 0 the token of the highest score has all.
 *
 * @param {ArrayLike<number>} logits - the scores of all tokens
 * @param {number} [temperature]
 * @returns {Float64Array} numbers that sum to one
 */
export function probabilities(logits, temperature = 1) {
    check_temperature(temperature);
    check(is_list(logits) && logits.length === OUTPUTS, "logits", logits, `an array of ${OUTPUTS} scores`);
    let best = 0, total = 0;
    for (let token = 0; token < logits.length; token++) {
        if (typeof logits[token] !== "number" || !(logits[token] < Infinity))
            fail(`the score of token ${token}`, logits[token], "a finite number");
        best = logits[token] > logits[best] ? token : best;
    }
    if (!(logits[best] > -Infinity))
        throw new RangeError("all scores are minus infinity; expected a finite one.");
    const weights = new Float64Array(logits.length);
    if (temperature === 0) {
        weights[best] = 1;
        return weights;
    }
    for (let token = 0; token < weights.length; token++)
        total += weights[token] = Math.exp((logits[token] - logits[best]) / temperature);
    return weights.map((weight) => weight / total);
}

/**
 * Draw a token.
 *
 * @param {ArrayLike<number>} logits - the scores of all tokens
 * @param {number} temperature - with 0 the token of the highest score
 * @param {Random} random
 * @returns {number} the token
 */
export function draw(logits, temperature, random) {
    check(typeof random?.uniform === "function", "random", random, "a Random", TypeError);
    const weights = probabilities(logits, temperature), u = random.uniform();
    let below = 0, drawn = -1;
    for (let token = 0; token < weights.length && below <= u; token++) {
        below += weights[token];
        drawn = weights[token] > 0 ? token : drawn;
    }
    return drawn;
}

/**
 * The text of tokens. Incomplete characters become U+FFFD.
 *
 * @param {Iterable<number>} tokens
 * @returns {string}
 */
export function text(tokens) {
    const is_iterable = typeof tokens === "object" && typeof tokens?.[Symbol.iterator] === "function";
    check(is_iterable, "tokens", tokens, "an array of tokens", TypeError);
    return text_of(Array.from(tokens, (token) => pieces[token_of(token, "a token")]).join(""));
}

function text_of(joined) {
    if (!HOLDS_BYTES)
        return joined;
    return new TextDecoder("utf-8", { ignoreBOM: true }).decode(Uint8Array.from(joined, (byte) => byte.charCodeAt(0)));
}

/** @type {string[]} the text of each token */
export const symbols = pieces.map(text_of);
