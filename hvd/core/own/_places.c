/* Counters, summaries, histograms and single cells, compiled: see places.py. */

#include "_own.h"

static const char *const amount_names[] = {"amount", "exemplar"};

static PyObject *keep_exemplar(Place *self, Py_ssize_t index, PyObject *amount, PyObject *exemplar)
{
    int is_given = exemplar == NULL || exemplar == Py_None ? 0 : PyObject_IsTrue(exemplar);
    if (is_given <= 0)
        return is_given < 0 ? NULL : Py_NewRef(Py_None);
    return PyObject_CallMethod((PyObject *)self, "keep_exemplar", "nOO", index, amount, exemplar);
}

static PyObject *needs_amount(const char *name)
{
    return PyErr_Format(PyExc_TypeError, "%s() missing 1 required argument: 'amount'", name);
}

/* Counter */

static PyObject *negative(void)
{
    PyErr_SetString(PyExc_ValueError, "Counters can only be incremented by non-negative amounts.");
    return NULL;
}

static int count_float(Place *self, PyObject *object)
{
    double amount;
    if (!hvd_amount_of(object, &amount))
        return 0;
    if (amount < 0)
        return negative() != NULL;
    LOCKED(self)
    add_float(self, 1, amount);
    UNLOCKED()
    return 1;
}

static int count_int(Place *self, PyObject *object)
{
    int overflow, is_added = 0;
    long long amount = PyLong_AsLongLongAndOverflow(object, &overflow);
    if (overflow < 0 || (amount < 0 && !overflow))
        return negative() != NULL;
    if (!overflow) {
        LOCKED(self)
        is_added = add_int(self, 0, amount);
        UNLOCKED()
    }
    return is_added || count_float(self, object);
}

static int count(Place *self, PyObject *amount)
{
    if (PyLong_Check(amount))
        return count_int(self, amount);
    if (PyFloat_Check(amount) || !PyIndex_Check(amount))
        return count_float(self, amount);
    PyObject *whole = PyNumber_Index(amount); /* an integer of numpy, as one */
    if (whole == NULL)
        return 0;
    int result = count_int(self, whole);
    Py_DECREF(whole);
    return result;
}

static PyObject *inc(Place *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    if (!is_countable(self))
        return NULL;
    if (nargs == 0 && kwnames == NULL) {
        int is_added;
        LOCKED(self)
        is_added = add_int(self, 0, 1) || add_float(self, 1, 1);
        UNLOCKED()
        (void)is_added;
        Py_RETURN_NONE;
    }
    PyObject *values[2] = {NULL, NULL}, *one = NULL;
    if (!hvd_parse("inc", amount_names, args, nargs, kwnames, values, 2))
        return NULL;
    if (values[0] == NULL && (values[0] = one = PyLong_FromLong(1)) == NULL)
        return NULL;
    PyObject *result = count(self, values[0]) ? keep_exemplar(self, 0, values[0], values[1]) : NULL;
    Py_XDECREF(one);
    return result;
}

static PyMethodDef counter_methods[] = {
    KEYWORDS("inc", inc, "($self, amount=1, exemplar=None)\n--\n\nAdd an amount; one below 0 is a ValueError."),
    {0},
};

PLACE_TYPE(hvd_counter_type, "CounterPlace", Place, hvd_place_init, hvd_place_free, counter_methods,
           NULL)

/* Summary */

static PyObject *observe_summary(Place *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    PyObject *values[1] = {NULL};
    double amount;
    if (!is_countable(self) || !hvd_parse("observe", amount_names, args, nargs, kwnames, values, 1))
        return NULL;
    if (values[0] == NULL)
        return needs_amount("observe");
    if (!hvd_amount_of(values[0], &amount))
        return NULL;
    LOCKED(self)
    if (add_float(self, 1, amount))
        add_int(self, 0, 1);
    UNLOCKED()
    Py_RETURN_NONE;
}

static PyMethodDef summary_methods[] = {
    KEYWORDS("observe", observe_summary, "($self, amount)\n--\n\nCount an amount."),
    {0},
};

PLACE_TYPE(hvd_summary_type, "SummaryPlace", Place, hvd_place_init, hvd_place_free, summary_methods,
           NULL)

/* Histogram */

typedef struct {
    Place place;
    double *bounds; /* NULL where the buckets are logarithmic */
} HistogramPlace;

static int histogram_init(HistogramPlace *self, PyObject *args, PyObject *kwargs)
{
    if (hvd_place_init(&self->place, args, kwargs) < 0)
        return -1;
    Place *place = &self->place;
    PyObject *buckets = NULL, *is_logarithmic = PyObject_GetAttrString(place->definition, "is_logarithmic");
    int result = -1;
    if (is_logarithmic == NULL)
        goto done;
    if (is_logarithmic == Py_True) {
        if (place->count == 1 + LOGARITHMIC_CELLS)
            result = 0;
    } else if ((buckets = PyObject_GetAttrString(place->definition, "buckets")) != NULL && PyTuple_Check(buckets) &&
               PyTuple_GET_SIZE(buckets) == place->count - 2) {
        self->bounds = PyMem_Malloc((size_t)place->count * sizeof *self->bounds);
        for (Py_ssize_t i = 0; self->bounds != NULL && i < place->count - 2; i++)
            self->bounds[i] = PyFloat_AsDouble(PyTuple_GET_ITEM(buckets, i));
        if (self->bounds == NULL)
            PyErr_NoMemory();
        result = PyErr_Occurred() ? -1 : 0;
    }
    if (result < 0 && !PyErr_Occurred())
        PyErr_SetString(PyExc_ValueError, "the definition's buckets and cells don't agree");
done:
    if (result < 0)
        place->cells = NULL; /* it counts nothing */
    Py_XDECREF(buckets);
    Py_XDECREF(is_logarithmic);
    return result;
}

/* bisect_left(bounds, amount) */
static inline Py_ssize_t bucket_of(const double *bounds, Py_ssize_t high, double amount)
{
    Py_ssize_t low = 0;
    while (low < high) {
        Py_ssize_t middle = (low + high) / 2;
        if (bounds[middle] < amount)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* logarithmic.py, bucket_of */
static inline Py_ssize_t logarithmic_bucket_of(double amount)
{
    int exponent, step = 0;
    if (amount <= 0)
        return 0;
    if (!(amount <= ldexp(1, HIGHEST)))
        return LOGARITHMIC_CELLS - 1;
    double mantissa = frexp(amount, &exponent);
    if (mantissa == 0.5) { /* the upper end of the octave below */
        mantissa = 1;
        exponent--;
    }
    for (int i = 0; i < PER_OCTAVE; i++)
        step += hvd_thresholds[i] < mantissa;
    int bucket = (exponent - 1 - LOWEST) * PER_OCTAVE + step;
    return 1 + (bucket > 0 ? bucket : 0);
}

static PyObject *observe(HistogramPlace *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    PyObject *values[2] = {NULL, NULL};
    double amount;
    Place *place = &self->place;
    if (!is_countable(place))
        return NULL;
    if (nargs == 1 && kwnames == NULL)
        values[0] = args[0];
    else if (!hvd_parse("observe", amount_names, args, nargs, kwnames, values, 2))
        return NULL;
    if (values[0] == NULL)
        return needs_amount("observe");
    if (!hvd_amount_of(values[0], &amount))
        return NULL;
    Py_ssize_t cell = 1 + (self->bounds == NULL ? logarithmic_bucket_of(amount)
                                                : bucket_of(self->bounds, place->count - 2, amount));
    int is_added;
    LOCKED(place)
    is_added = add_float(place, 0, amount);
    if (is_added)
        add_int(place, cell, 1);
    UNLOCKED()
    return is_added ? keep_exemplar(place, cell, values[0], values[1]) : Py_NewRef(Py_None);
}

static void histogram_dealloc(HistogramPlace *self)
{
    PyMem_Free(self->bounds);
    hvd_place_free(&self->place);
}

static PyMethodDef histogram_methods[] = {
    KEYWORDS("observe", observe, "($self, amount, exemplar=None)\n--\n\nCount an amount."),
    {0},
};

PLACE_TYPE(hvd_histogram_type, "HistogramPlace", HistogramPlace, histogram_init, histogram_dealloc, histogram_methods,
           NULL)

/* Cell */

typedef struct {
    PyObject_HEAD
    Place *place;
    Py_ssize_t index;
} Cell;

static PyObject *cell_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    Place *place;
    Py_ssize_t index;
    if (!PyArg_ParseTuple(args, "O!n", &hvd_place_type, &place, &index))
        return NULL;
    if (place->cells == NULL || index < 0 || index >= place->count)
        return PyErr_Format(PyExc_IndexError, "the place has no cell %zd", index);
    Cell *self = (Cell *)type->tp_alloc(type, 0);
    if (self != NULL) {
        self->place = (Place *)Py_NewRef(place);
        self->index = index;
    }
    return (PyObject *)self;
}

static int cell_traverse(Cell *self, visitproc visit, void *arg)
{
    Py_VISIT(self->place);
    return 0;
}

static void cell_dealloc(Cell *self)
{
    PyObject_GC_UnTrack(self);
    Py_XDECREF(self->place);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyObject *cell_inc(Cell *self, PyObject *amount)
{
    if (waits(self->place) && !hvd_call_before(self->place))
        return NULL;
    return hvd_add(self->place, self->index, amount) < 0 ? NULL : Py_NewRef(Py_None);
}

static PyObject *cell_get_own(Cell *self, PyObject *unused)
{
    PyObject *counted = PyObject_CallMethod((PyObject *)self->place, "counted", NULL);
    if (counted == NULL)
        return NULL;
    PyObject *number = PySequence_GetItem(counted, self->index);
    Py_DECREF(counted);
    return number;
}

static PyMethodDef cell_methods[] = {
    {"inc", (PyCFunction)cell_inc, METH_O, NULL},
    {"get_own", (PyCFunction)cell_get_own, METH_NOARGS, NULL},
    {0},
};

PyTypeObject hvd_cell_type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "hvd.core.own._own.Cell",
    .tp_basicsize = sizeof(Cell),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .tp_doc = "See places.py.",
    .tp_new = cell_new,
    .tp_traverse = (traverseproc)cell_traverse,
    .tp_dealloc = (destructor)cell_dealloc,
    .tp_methods = cell_methods,
};
