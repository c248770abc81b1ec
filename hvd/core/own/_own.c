/* Own metrics, compiled: the module, and the targets in which places count. The same as places.py: _place.c has what
 * all places share, _places.c and _gauges.c have the kinds; _sums.c is sums.py.
 */

#include "_own.h"

double hvd_thresholds[PER_OCTAVE];

/* Target */

static int target_init(Target *self, PyObject *args, PyObject *kwargs)
{
    PyObject *raw;
    Py_ssize_t head, count;
    long long tenancy;
    static char *names[] = {"raw", "head", "count", "tenancy", NULL};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OnnL", names, &raw, &head, &count, &tenancy))
        return -1;
    if (self->buffer.obj != NULL) {
        PyErr_SetString(PyExc_RuntimeError, "a target is made once");
        return -1;
    }
    if (PyObject_GetBuffer(raw, &self->buffer, PyBUF_WRITABLE) < 0)
        return -1;
    Py_ssize_t cells = self->buffer.len / 8;
    if (head < 0 || count < 1 || cells <= EPOCH || count > cells || head > cells - count ||
        (uintptr_t)self->buffer.buf % 8) {
        PyErr_SetString(PyExc_ValueError, "the row is not within the block");
        return -1;
    }
    PyObject *all = PyObject_CallMethod(raw, "cast", "s", "q"), *floats = PyObject_CallMethod(raw, "cast", "s", "d");
    if (all != NULL && floats != NULL) {
        Py_XSETREF(self->cells, PySequence_GetSlice(all, head, head + count));
        Py_XSETREF(self->floats, PySequence_GetSlice(floats, head, head + count));
        Py_XSETREF(self->epoch, PySequence_GetSlice(all, EPOCH, EPOCH + 1));
    }
    Py_XDECREF(all);
    Py_XDECREF(floats);
    if (PyErr_Occurred())
        return -1;
    self->block = (int64_t *)self->buffer.buf;
    self->count = count;
    self->tenancy = tenancy;
    self->row = self->block + head;
    return 0;
}

static void target_dealloc(Target *self)
{
    Py_XDECREF(self->cells);
    Py_XDECREF(self->floats);
    Py_XDECREF(self->epoch);
    if (self->buffer.obj != NULL)
        PyBuffer_Release(&self->buffer);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyMemberDef target_members[] = {
    {"cells", T_OBJECT_EX, offsetof(Target, cells), READONLY, NULL},
    {"floats", T_OBJECT_EX, offsetof(Target, floats), READONLY, NULL},
    {"epoch", T_OBJECT_EX, offsetof(Target, epoch), READONLY, NULL},
    {"tenancy", T_LONGLONG, offsetof(Target, tenancy), READONLY, NULL},
    {0},
};

PyTypeObject hvd_target_type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "hvd.core.own._own.Target",
    .tp_basicsize = sizeof(Target),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_doc = "See places.py.",
    .tp_new = PyType_GenericNew,
    .tp_init = (initproc)target_init,
    .tp_dealloc = (destructor)target_dealloc,
    .tp_members = target_members,
};

/* The module */

/* Called once, at import of hot.py: logarithmic.py's THRESHOLDS. */
static PyObject *set_thresholds(PyObject *module, PyObject *values)
{
    if (!PyTuple_Check(values) || PyTuple_GET_SIZE(values) != PER_OCTAVE)
        return PyErr_Format(PyExc_ValueError, "there are %d thresholds", PER_OCTAVE);
    for (Py_ssize_t i = 0; i < PER_OCTAVE; i++)
        hvd_thresholds[i] = PyFloat_AsDouble(PyTuple_GET_ITEM(values, i));
    return PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
}

static PyMethodDef module_methods[] = {
    {"set_thresholds", set_thresholds, METH_O, NULL},
    {"gauge_values", hvd_gauge_values, METH_VARARGS, NULL},
    {"gauge_samples", hvd_gauge_samples, METH_VARARGS, NULL},
    {"counts_text", hvd_counts_text, METH_VARARGS, NULL},
    {0},
};

static int execute(PyObject *module)
{
    PyTypeObject *kinds[] = {&hvd_counter_type, &hvd_gauge_type, &hvd_summary_type, &hvd_histogram_type};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        kinds[i]->tp_base = &hvd_place_type;
    PyTypeObject *types[] = {&hvd_target_type,  &hvd_place_type,     &hvd_counter_type, &hvd_gauge_type,
                             &hvd_summary_type, &hvd_histogram_type, &hvd_cell_type,    &hvd_sums_type};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (PyModule_AddType(module, types[i]) < 0)
            return -1;
    PyObject *layout = Py_BuildValue("(iiiiiiiiiiii)", EPOCH, PAGE_CELLS, INT, FLOAT, VALUE, STAMP, TIME, LOWEST, HIGHEST,
                                     PER_OCTAVE, SLACK, FIRST);
    if (layout == NULL)
        return -1;
    int result = PyModule_AddObjectRef(module, "LAYOUT", layout);
    Py_DECREF(layout);
    return result;
}

HVD_MODULE(_own, "hvd.core.own._own", module_methods, execute)
