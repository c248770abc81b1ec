/* What the methods of places are called with: amounts, names, label values; and what label values stand for. */

#include "_own.h"

int hvd_amount_of(PyObject *object, double *amount)
{
    *amount = PyFloat_AsDouble(object);
    return *amount != -1.0 || !PyErr_Occurred();
}

/* Arguments by position and name, as a Python function takes them: those that are not given stay NULL. */
int hvd_parse(const char *name, const char *const *names, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames,
              PyObject **values, Py_ssize_t most)
{
    if (nargs > most) {
        PyErr_Format(PyExc_TypeError, "%s() takes %zd arguments at most (%zd given)", name, most, nargs);
        return 0;
    }
    for (Py_ssize_t i = 0; i < nargs; i++)
        values[i] = args[i];
    for (Py_ssize_t k = 0; kwnames != NULL && k < PyTuple_GET_SIZE(kwnames); k++) {
        Py_ssize_t i = 0;
        PyObject *word = PyTuple_GET_ITEM(kwnames, k);
        while (i < most && PyUnicode_CompareWithASCIIString(word, names[i]) != 0)
            i++;
        if (i == most || values[i] != NULL) {
            PyErr_Format(PyExc_TypeError, "%s() got %s argument '%U'", name,
                         i == most ? "an unexpected keyword" : "multiple values for", word);
            return 0;
        }
        values[i] = args[nargs + k];
    }
    return 1;
}

/* The text of a label's value: of a text and of an integer only, as others may have any. NULL without an exception
 * where it is none of these. */
static inline PyObject *text_of(PyObject *value)
{
    if (PyUnicode_CheckExact(value))
        return Py_NewRef(value);
    return PyLong_CheckExact(value) ? PyObject_Str(value) : NULL;
}

/* The values of labels given by name, in the order of the names; NULL without an exception where they don't fit. */
static PyObject *values_by_name(Place *self, PyObject *const *args, PyObject *kwnames)
{
    Py_ssize_t count = PyTuple_GET_SIZE(kwnames);
    if (count != PyTuple_GET_SIZE(self->names))
        return NULL;
    PyObject *values = PyTuple_New(count);
    for (Py_ssize_t i = 0; values != NULL && i < count; i++) {
        Py_ssize_t k = 0; /* a name of the source is the same object as that of a call, nearly always */
        while (k < count && PyTuple_GET_ITEM(kwnames, k) != PyTuple_GET_ITEM(self->names, i))
            k++;
        PyObject *text = k == count ? NULL : text_of(args[k]);
        if (text == NULL)
            Py_CLEAR(values);
        else
            PyTuple_SET_ITEM(values, i, text);
    }
    return values;
}

static PyObject *values_by_position(PyObject *const *args, Py_ssize_t count)
{
    PyObject *values = PyTuple_New(count);
    for (Py_ssize_t i = 0; values != NULL && i < count; i++) {
        PyObject *text = text_of(args[i]);
        if (text == NULL)
            Py_CLEAR(values);
        else
            PyTuple_SET_ITEM(values, i, text);
    }
    return values;
}

static PyObject *child_of(PyObject *children, PyObject *values)
{
#if PY_VERSION_HEX >= 0x030D0000
    PyObject *child;
    return PyDict_GetItemRef(children, values, &child) < 0 ? NULL : child;
#else
    return Py_XNewRef(PyDict_GetItemWithError(children, values));
#endif
}

/* places.py, Place.labels */
PyObject *hvd_labels(Place *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    if (self->cells == NULL) {
        hvd_check_place(self);
        return NULL;
    }
    PyObject *child = NULL, *values = NULL;
    if (kwnames == NULL)
        values = values_by_position(args, nargs);
    else if (nargs == 0)
        values = values_by_name(self, args, kwnames);
    if (values != NULL) {
        child = child_of(self->children, values);
        Py_DECREF(values);
    }
    if (child != NULL || PyErr_Occurred())
        return child;
    PyObject *find = PyObject_GetAttrString((PyObject *)self, "find_child");
    if (find == NULL)
        return NULL;
    child = PyObject_Vectorcall(find, args, (size_t)nargs, kwnames);
    Py_DECREF(find);
    return child;
}
