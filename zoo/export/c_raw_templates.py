"""Templates of the C functions that read rows of a table in its own units.

``${p}`` is the prefix of all names, ``${U}`` the same in capitals, and ``${real}`` the type of the model.
:mod:`zoo.export.c_raw` fills in the rest.
"""

from __future__ import annotations

from collections.abc import Mapping

from zoo.export.exported_data import MissingRule

TYPE = """\
/* Values in the units of the table. `cc -D${U}_RAW=float` computes them in single precision, for processors
 * without double; compile all files alike. */
#ifndef ${U}_RAW
#define ${U}_RAW double
#endif
typedef ${U}_RAW ${p}_raw;
"""

FILL = """\
/* now: a row without missing values; -1 if it cannot be read */
static int fill(const ${p}_raw *row, ${before_parameter}${p}_raw *now)
{
    for (size_t n = 0; n < ${values}; n++) {
        ${p}_raw value = row[n];
        const int is_huge = sizeof value > sizeof(float) && (value > ${largest} || value < -${largest});
        if (isnan(value)) {
            ${missing}
        } else if (isinf(value) || is_huge${invalid_code}) {
            return -1;
        }
        now[n] = value;
    }
    return 0;
}
"""

# Statements for a missing value, by the treatments of all columns.
MISSING: Mapping[frozenset[MissingRule], str] = {
    frozenset({"error"}): """\
return -1;""",
    frozenset({"before"}): """\
value = before[n];
            if (isnan(value))
                return -1;""",
    frozenset({"gap"}): """\
/* the model has inputs for it */""",
    frozenset({"error", "gap"}): """\
if (!may_be_missing[n])
                return -1;""",
    frozenset({"before", "gap"}): """\
if (!may_be_missing[n]) {
                value = before[n];
                if (isnan(value))
                    return -1;
            }""",
}

TABLE_HEADER = """\
/* The units of a series: mean and standard deviation of its columns of numbers, root mean square of the
 * change of each target from row to row, and the unit of the outputs for each target. */
typedef struct {
    ${p}_raw mean[${numbers}], scale[${numbers}], change[${U}_TARGETS], output[${U}_TARGETS];
} ${p}_scaling;

extern const ${p}_scaling ${p}_scalings[${U}_SERIES];
${series_names}
/* A series that is read row by row. */
typedef struct {
    const ${p}_scaling *scaling;
    ${p}_raw last[${values}]; /* the last value of each column */
${recent_field}    size_t rows;
    ${p}_state state;
} ${p}_stream;

/* Begin a series, in its units: ${p}_start(&stream, &${p}_scalings[0]). */
void ${p}_start(${p}_stream *stream, const ${p}_scaling *scaling);

/* Read a row, and forecast the rows after it from all rows since the start. In training these are at most
 * ${U}_CONTEXT.${future_note}
 * Returns 0; or -1 if a value is invalid, and the row does not count. */
int ${p}_step_raw(${p}_stream *stream, const ${p}_raw row[${U}_COLUMNS],${future_argument}
    ${p}_raw forecast[${U}_HORIZON][${U}_TARGETS][${U}_QUANTILES]);

/* Forecast the rows after `count` rows of ${U}_COLUMNS values, as `zoo forecast` does. The model reads the
 * last ${U}_CONTEXT.${future_note}
 * Returns 0; or -1 if a value is invalid, or there are too few rows. */
int ${p}_predict_raw(const ${p}_scaling *scaling, const ${p}_raw *rows, size_t count,${future_argument}
    ${p}_raw forecast[${U}_HORIZON][${U}_TARGETS][${U}_QUANTILES]);
"""

TABLE_SOURCE = """\
void ${p}_start(${p}_stream *stream, const ${p}_scaling *scaling)
{
    stream->scaling = scaling;
    stream->rows = 0;
    for (size_t n = 0; n < ${values}; n++)
        stream->last[n] = NAN;
${initial}    ${p}_init(&stream->state);
}

/* read a row; x may be NULL */
static int read_row(${p}_stream *stream, const ${p}_raw *row, ${future_parameter}${real} *x)
{
    const ${p}_scaling *const unit = stream->scaling;
    ${p}_raw now[${values}];
    if (${check_time}fill(row, ${last}now) < 0)
        return -1;
    if (x != NULL) {
${inputs}
    }
    for (size_t n = 0; n < ${values}; n++)
        stream->last[n] = now[n];
${keep_recent}    stream->rows++;
    return 0;
}
${linear_function}
int ${p}_step_raw(${p}_stream *stream, const ${p}_raw row[${U}_COLUMNS],${future_argument}
    ${p}_raw forecast[${U}_HORIZON][${U}_TARGETS][${U}_QUANTILES])
{
    const ${p}_scaling *const unit = stream->scaling;
    ${real} x[${U}_INPUTS], outputs[${U}_OUTPUTS];
    const ${real} *output = outputs;
${time_step}    if (read_row(stream, row, ${future}x) < 0)
        return -1;
    ${p}_step(&stream->state, x, ${dt}outputs);
    for (size_t step = 0; step < ${U}_HORIZON; step++)
        for (size_t n = 0; n < ${U}_TARGETS; n++) {
            ${p}_raw quantiles[${outputs}];
            for (size_t q = 0; q < ${outputs}; q++) {
                const ${p}_raw value = *output++ * unit->output[n] + ${base};
                size_t i = q; /* ascending, since quantiles may cross */
                for (; i > 0 && quantiles[i - 1] > value; i--)
                    quantiles[i] = quantiles[i - 1];
                quantiles[i] = value;
            }
            forecast[step][n][${U}_POINT] = quantiles[${outputs} / 2];
${interval}        }
    return 0;
}

int ${p}_predict_raw(const ${p}_scaling *scaling, const ${p}_raw *rows, size_t count,${future_argument}
    ${p}_raw forecast[${U}_HORIZON][${U}_TARGETS][${U}_QUANTILES])
{
    ${p}_stream stream;
${ahead_array}    if (count < ${U}_CONTEXT)
        return -1;
    ${p}_start(&stream, scaling);
    for (; count > ${U}_CONTEXT; count--, rows += ${U}_COLUMNS)
        if (read_row(&stream, rows, ${no_future}NULL) < 0)
            return -1;
    for (; count > 0; count--, rows += ${U}_COLUMNS) {
${known_values}        if (${p}_step_raw(&stream, rows, ${ahead}forecast) < 0)
            return -1;
    }
    return 0;
}
"""

# The linear autoregression, whose forecast the outputs correct.
KEEP_RECENT = """\
    for (size_t n = 0; n < ${U}_TARGETS; n++) {
        for (size_t lag = ${lags} - 1; lag > 0; lag--)
            stream->recent[lag][n] = stream->rows > 0 ? stream->recent[lag - 1][n] : now[n];
        stream->recent[0][n] = now[n];
    }
"""
LINEAR = """
/* the change from the last value that the linear autoregression forecasts */
static ${p}_raw linear_change(const ${p}_stream *stream, size_t step, size_t n)
{
    ${p}_raw change = stream->scaling->change[n] * autoregression[n][${lags} - 1][step];
    for (size_t lag = 1; lag < ${lags}; lag++)
        change += (stream->recent[lag][n] - stream->recent[0][n]) * autoregression[n][lag - 1][step];
    return change;
}
"""

INTERVAL = """\
            const ${p}_raw margin = offsets[step][n] * unit->output[n], point = quantiles[${outputs} / 2];
            const ${p}_raw low = quantiles[0] - margin, high = quantiles[${outputs} - 1] + margin;
            forecast[step][n][0] = low < point ? low : point;
            forecast[step][n][2] = high > point ? high : point;
"""

SEQUENCE_HEADER = """\
/* A sequence that is read row by row. */
typedef struct {
${last_field}${sums_field}    size_t rows;
    ${p}_state state;
} ${p}_stream;

void ${p}_start(${p}_stream *stream);

/* Read a row, and predict ${result} from the rows since the start. Returns ${returns}; or -1 if a
 * value is invalid, and the row does not count. */
int ${p}_step_raw(${p}_stream *stream, const ${p}_raw row[${U}_COLUMNS],
    ${p}_raw ${output});

/* Predict ${result} of ${predicted} of `count` rows of ${U}_COLUMNS values, as `zoo predict` does.${note}
 * Returns ${sequence_returns}; or -1 if a value is invalid, or there are no rows. */
int ${p}_predict_raw(const ${p}_raw *rows, size_t count, ${p}_raw ${sequence_output});
"""

BIDIRECTIONAL_HEADER = """\
/* Predict ${result} of ${predicted} of `count` rows of ${U}_COLUMNS values, as `zoo predict` does.${note}
 * `work` is memory for count * ${U}_WORK numbers, which need no values.
 * Returns ${sequence_returns}; or -1 if a value is invalid, or there are no rows. */
int ${p}_predict_raw(const ${p}_raw *rows, size_t count, ${real} *work, ${p}_raw ${sequence_output});
"""

STREAM_TYPE = """\
/* a sequence of which some rows are read */
typedef struct {
${last_field}${sums_field}    size_t rows;
} ${p}_stream;
"""

SEQUENCE_SOURCE = """\
${linkage}void ${p}_start(${p}_stream *stream)
{
    static const ${p}_stream zeros;
    *stream = zeros;
${unknown}${init}}

/* read a row */
static int read_row(${p}_stream *stream, const ${p}_raw *row, ${real} *x)
{
    ${p}_raw now[${values}];
    if (${check_time}fill(row, ${last}now) < 0)
        return -1;
${inputs}
${keep}    stream->rows++;
    return 0;
}

/* the prediction from the outputs of the model after a row */
static int predict_row(${stream_parameter}${real} *outputs, ${p}_raw ${output})
{
${result_lines}
}
"""

STEP_SOURCE = """\
int ${p}_step_raw(${p}_stream *stream, const ${p}_raw row[${U}_COLUMNS], ${p}_raw ${output})
{
    ${real} x[${U}_INPUTS], outputs[${U}_OUTPUTS];
${time_step}    if (read_row(stream, row, x) < 0)
        return -1;
    ${p}_step(&stream->state, x, ${dt}outputs);
    return predict_row(${stream}outputs, ${output_name});
}

int ${p}_predict_raw(const ${p}_raw *rows, size_t count, ${p}_raw ${sequence_output})
{
    ${p}_stream stream;
    int result = -1;
    ${p}_start(&stream);
    for (size_t n = 0; n < count; n++) {
        result = ${p}_step_raw(&stream, rows + n * ${U}_COLUMNS, ${output_of_n});
        if (result < 0)
            break;
    }
    return result;
}
"""

BIDIRECTIONAL_SOURCE = """\
int ${p}_predict_raw(const ${p}_raw *rows, size_t count, ${real} *work, ${p}_raw ${sequence_output})
{
    ${real} *const x = work, *const outputs = x + count * ${U}_INPUTS;
${steps}    ${p}_stream memory, *const stream = &memory;
    int result = -1;
    ${p}_start(stream);
    for (size_t t = 0; t < count; t++) {
        const ${p}_raw *const row = rows + t * ${U}_COLUMNS;
${time_steps}        if (read_row(stream, row, x + t * ${U}_INPUTS) < 0)
            return -1;
    }
    ${p}_sequence(x, ${steps_argument}count, rest, outputs);
    for (size_t n = 0; n < count; n++)
        result = predict_row(${stream}outputs + n * ${U}_OUTPUTS, ${output_of_n});
    return result;
}
"""

CLASS_LINES = """\
    ${real} top = outputs[0], total = 0;
    int best = 0;
    for (int n = 1; n < ${U}_CLASSES; n++)
        top = outputs[n] > top ? outputs[n] : top;
    for (int n = 0; n < ${U}_CLASSES; n++)
        total += outputs[n] = ${exp}(outputs[n] - top);
    for (int n = 0; n < ${U}_CLASSES; n++) {
        ${probability}
        best = probabilities[n] > probabilities[best] ? n : best;
    }
    return best;"""
_PROBABILITY = "probabilities[n] = outputs[n] / total;"
PROBABILITY = {
    "last": _PROBABILITY,
    "none": _PROBABILITY,
    "mean": "stream->sums[n] += outputs[n] / total;\n"
    "        probabilities[n] = stream->sums[n] / stream->rows;",
}
_LABEL = "    *label = outputs[0] * (${p}_raw)${label_scale} + (${p}_raw)${label_mean};\n    return 0;"
LABEL_LINES = {
    "last": _LABEL,
    "none": _LABEL,
    "mean": "    stream->sums[0] += outputs[0];\n"
    "    *label = stream->sums[0] / stream->rows * (${p}_raw)${label_scale} + (${p}_raw)${label_mean};\n"
    "    return 0;",
}
