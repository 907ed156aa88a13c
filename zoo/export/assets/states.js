const STATE_SIZES = Object.entries(initial_state()).map(([name, values]) => [name, values.length]);

/** The states of a model, which a program may have set, checked. */
function state_of(state) {
    for (const [name, size] of STATE_SIZES) {
        const values = state?.[name];
        if (!(values instanceof RealArray && values.length === size))
            fail(`state.${name}`, values, `a ${RealArray.name} of ${size} numbers`, TypeError);
    }
    return state;
}
