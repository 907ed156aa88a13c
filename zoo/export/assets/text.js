/**
 * Random numbers: draw number n of a seed is the n-th of its sequence, by SplitMix64, as in zoo itself.
 */
export class Random {
    /**
     * @param {number|bigint} seed - an integer from 0 on
     * @param {number} draws - how many numbers were drawn
     */
    constructor(seed = 0, draws = 0) {
        if (typeof seed !== "bigint" && !(Number.isSafeInteger(seed) && seed >= 0))
            throw new RangeError(`seed is ${String(seed)}; expected an integer from 0 on.`);
        this.seed = BigInt(seed);
        this.draws = draws;
    }

    /** The next number, from zero to less than one. */
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

function temperature_of(temperature) {
    if (!(temperature >= 0 && temperature < Infinity))
        throw new RangeError(`temperature is ${String(temperature)}; expected a number from 0 on.`);
    return temperature;
}

/**
 * The softmax of scores / temperature. With a temperature of 0 the token of the highest score has all.
 *
 * @param {ArrayLike<number>} logits - the scores of all tokens
 * @param {number} temperature
 * @returns {Float64Array} numbers that sum to one
 */
export function probabilities(logits, temperature = 1) {
    temperature_of(temperature);
    let best = 0, total = 0;
    for (let token = 0; token < logits.length; token++) {
        if (!(logits[token] < Infinity))
            throw new RangeError(`the score of token ${token} is ${logits[token]}; expected a finite number.`);
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
    return text_of(Array.from(tokens, (token) => pieces[token_of(token, "a token")]).join(""));
}

function text_of(joined) {
    if (!HOLDS_BYTES)
        return joined;
    return new TextDecoder("utf-8", { ignoreBOM: true }).decode(Uint8Array.from(joined, (byte) => byte.charCodeAt(0)));
}

/** The text of each token. @type {string[]} */
export const symbols = pieces.map(text_of);
