/* Gauges, compiled: see places.py. */

#include "_own.h"
#include <string.h>

enum mode { LAST, SUM, MIN, MAX, MOST_RECENT };

typedef struct {
    Place place;
    enum mode mode;
    char keeps, has_before;
    double value, time, before;
} GaugePlace;

static enum mode mode_of(const char *text)
{
    static const struct {
        const char *text;
        enum mode mode;
    } modes[] = {{"sum", SUM}, {"min", MIN}, {"max", MAX}, {"mostrecent", MOST_RECENT}};
    text += strncmp(text, "live", 4) == 0 ? 4 : 0;
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
        if (strcmp(text, modes[i].text) == 0)
            return modes[i].mode;
    return LAST;
}

static int gauge_init(GaugePlace *self, PyObject *args, PyObject *kwargs)
{
    if (hvd_place_init(&self->place, args, kwargs) < 0)
        return -1;
    PyObject *definition = self->place.definition, *keeps = PyObject_GetAttrString(definition, "keeps"),
             *mode = PyObject_GetAttrString(definition, "mode");
    const char *text = mode == NULL ? NULL : PyUnicode_AsUTF8(mode);
    if (keeps != NULL && text != NULL) {
        self->keeps = keeps == Py_True;
        self->mode = mode_of(text);
        if (self->mode == MOST_RECENT && self->place.count < 3)
            PyErr_SetString(PyExc_ValueError, "the definition's mode and cells don't agree");
    }
    Py_XDECREF(keeps);
    Py_XDECREF(mode);
    if (!PyErr_Occurred())
        return 0;
    self->place.cells = NULL; /* it counts nothing */
    return -1;
}

static double merged(GaugePlace *self)
{
    double before = self->before, value = self->value;
    if (!self->has_before || isnan(before))
        return value;
    if (isnan(value))
        return before;
    switch (self->mode) {
    case SUM:
        return before + value;
    case MIN: /* as Python's min and max choose */
        return value < before ? value : before;
    default:
        return value > before ? value : before;
    }
}

/* places.py, GaugePlace._store; between LOCKED and UNLOCKED */
static void store(GaugePlace *self)
{
    Place *place = &self->place;
    int64_t tenancy = place->target == NULL ? 1 : place->target->tenancy, *cells = place->cells;
    int64_t stamp = load(cells + 1);
    if (stamp != tenancy) { /* the first store of this process, or of what was removed */
        self->has_before = self->keeps && stamp != 0;
        self->before = as_float(load(cells));
    }
    if (self->mode != MOST_RECENT)
        put(cells, as_bits(merged(self)));
    else if (!self->has_before || self->time >= as_float(load(cells + 2))) {
        put(cells, as_bits(self->value));
        put(cells + 2, as_bits(self->time));
        mark(place, 2); /* which may be on the next page */
    }
    if (stamp != tenancy)
        put(cells + 1, tenancy);
    mark(place, 0);
}

static PyObject *set(GaugePlace *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    static const char *const names[] = {"value", "time"};
    PyObject *values[2] = {NULL, NULL};
    double value, time = 0;
    if (!is_countable(&self->place))
        return NULL;
    if (nargs == 1 && kwnames == NULL)
        values[0] = args[0];
    else if (!hvd_parse("set", names, args, nargs, kwnames, values, 2))
        return NULL;
    if (values[0] == NULL)
        return PyErr_Format(PyExc_TypeError, "set() missing 1 required argument: 'value'");
    if (PyFloat_CheckExact(values[0]))
        value = PyFloat_AS_DOUBLE(values[0]);
    else {
        PyObject *number = PyNumber_Float(values[0]); /* of a text too, as float() */
        if (number == NULL)
            return NULL;
        value = PyFloat_AS_DOUBLE(number);
        Py_DECREF(number);
    }
    if (values[1] != NULL && !hvd_amount_of(values[1], &time))
        return NULL;
    LOCKED(self)
    self->value = value;
    self->time = time;
    store(self);
    UNLOCKED()
    Py_RETURN_NONE;
}

static PyObject *change(GaugePlace *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames, const char *name,
                        int sign)
{
    static const char *const names[] = {"amount"};
    PyObject *values[1] = {NULL};
    double amount = 1;
    if (!is_countable(&self->place) || !hvd_parse(name, names, args, nargs, kwnames, values, 1))
        return NULL;
    if (values[0] != NULL && !hvd_amount_of(values[0], &amount))
        return NULL;
    LOCKED(self)
    self->value += sign * amount;
    store(self);
    UNLOCKED()
    Py_RETURN_NONE;
}

static PyObject *gauge_inc(GaugePlace *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    return change(self, args, nargs, kwnames, "inc", 1);
}

static PyObject *gauge_dec(GaugePlace *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    return change(self, args, nargs, kwnames, "dec", -1);
}

static void carry_gauge(Place *place)
{
    GaugePlace *self = (GaugePlace *)place;
    if (!place->is_ready)
        return;
    self->has_before = 0;
    store(self);
}

static PyObject *gauge_move(Place *self, PyObject *const *args, Py_ssize_t nargs)
{
    return hvd_place_move(self, args, nargs, carry_gauge);
}

static PyObject *gauge_forget(GaugePlace *self, PyObject *unused)
{
    PyObject *result = hvd_place_forget(&self->place, NULL);
    LOCKED(self)
    self->value = self->time = 0;
    self->has_before = 0;
    UNLOCKED()
    return result;
}

static PyObject *gauge_counted(GaugePlace *self, PyObject *unused)
{
    return PyList_New(0);
}

static PyObject *gauge_value(GaugePlace *self, void *unused)
{
    double value;
    LOCKED(self)
    value = self->value;
    UNLOCKED()
    return PyFloat_FromDouble(value);
}

static PyMethodDef gauge_methods[] = {
    KEYWORDS("set", set, "($self, value, time=0.0)\n--\n\nSet the value."),
    KEYWORDS("inc", gauge_inc, "($self, amount=1)\n--\n\nAdd to the value."),
    KEYWORDS("dec", gauge_dec, "($self, amount=1)\n--\n\nTake from the value."),
    FASTCALL("move", gauge_move, NULL),
    {"forget", (PyCFunction)gauge_forget, METH_NOARGS, NULL},
    {"counted", (PyCFunction)gauge_counted, METH_NOARGS, NULL},
    {0},
};

static PyGetSetDef gauge_properties[] = {{"value", (getter)gauge_value, NULL, NULL, NULL}, {0}};

PLACE_TYPE(hvd_gauge_type, "GaugePlace", GaugePlace, gauge_init, hvd_place_free, gauge_methods,
           gauge_properties)
