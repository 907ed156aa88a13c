/** The bytes that a text in base64 holds. */
function bytes_of(base64) {
    const text = atob(base64), bytes = new Uint8Array(text.length);
    for (let n = 0; n < bytes.length; n++)
        bytes[n] = text.charCodeAt(n);
    return bytes;
}

/** Little-endian numbers in base64, on processors of any order of bytes. */
function numbers(base64) {
    const view = new DataView(bytes_of(base64).buffer);
    const size = RealArray.BYTES_PER_ELEMENT, values = new RealArray(view.byteLength / size);
    for (let n = 0; n < values.length; n++)
        values[n] = size === 4 ? view.getFloat32(size * n, true) : view.getFloat64(size * n, true);
    return values;
}
