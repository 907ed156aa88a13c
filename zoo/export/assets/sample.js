    /**
     * The prompt and a sampled text, from the initial states on. An empty prompt begins with a random symbol.
     *
     * @param {string|ArrayLike<number>} [prompt] - a text, or its tokens
     * @param {number} [length] - how many symbols to add
     * @param {{temperature?: number, seed?: number|bigint}} [options] - temperature 0 takes the most probable
     *     symbol; the same seed gives the same text, the one of `zoo sample`
     * @returns {string}
     */
    sample(prompt = "", length = 200, options = {}) {
        check_options(options, ["temperature", "seed"]);
        const { temperature = 1, seed = 0 } = options, random = new Random(seed), is_text = typeof prompt === "string";
        check(is_text || is_list(prompt), "prompt", prompt, "a string or an array of tokens", TypeError);
        check(Number.isSafeInteger(length) && length >= 0, "length", length, "an integer from 0 on");
        check_temperature(temperature);
        const result = is_text ? tokens(prompt) : Array.from(prompt, (token, n) => token_of(token, `prompt[${n}]`));
        const end = result.length + length;
        if (result.length === 0 && length > 0)
            result.push(Math.floor(random.uniform() * OUTPUTS));
        this.reset();
        let logits;
        for (const token of result)
            logits = this.step(token);
        while (result.length < end) {
            result.push(draw(logits, temperature, random));
            if (result.length < end)
                logits = this.step(result.at(-1));
        }
        return text(result);
    }
