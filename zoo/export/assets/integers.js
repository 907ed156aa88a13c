/** Integers from -127 to 127 in base64. */
function integers(base64) {
    return new Int8Array(bytes_of(base64).buffer);
}
