/* The hot part of extras.py, compiled: see there. */

#include "_exchange.h"
#include <string.h>

static const char NAME[] = "content-length";
enum { NAME_LENGTH = sizeof(NAME) - 1, LENGTH_DIGITS = 15 };

/* The bytes of a str of one byte a character, or of bytes; NULL for all else. */
static const char *bytes_of(PyObject *text, Py_ssize_t *length)
{
    if (PyBytes_Check(text)) {
        *length = PyBytes_GET_SIZE(text);
        return PyBytes_AS_STRING(text);
    }
    if (!PyUnicode_Check(text) || PyUnicode_KIND(text) != PyUnicode_1BYTE_KIND)
        return NULL;
    *length = PyUnicode_GET_LENGTH(text);
    return (const char *)PyUnicode_1BYTE_DATA(text);
}

/* -1 where it says no number; an exception set where it is a number beyond all sizes. */
static long long size_of(PyObject *length)
{
    if (PyLong_Check(length))
        return PyLong_AsLongLong(length);
    Py_ssize_t count;
    const char *digits = bytes_of(length, &count);
    if (digits == NULL || count == 0 || count > LENGTH_DIGITS)
        return -1;
    long long size = 0;
    for (Py_ssize_t i = 0; i < count; i++) {
        if (digits[i] < '0' || digits[i] > '9')
            return -1;
        size = size * 10 + (digits[i] - '0');
    }
    return size;
}

static int is_name(PyObject *name)
{
    Py_ssize_t count;
    const char *text = bytes_of(name, &count);
    if (text == NULL || count != NAME_LENGTH)
        return 0;
    for (Py_ssize_t i = 0; i < count; i++)
        if ((text[i] >= 'A' && text[i] <= 'Z' ? text[i] + 32 : text[i]) != NAME[i])
            return 0;
    return 1;
}

/* A pair's name and value, borrowed; 0 where it is no pair. */
static int pair_of(PyObject *header, PyObject **name, PyObject **value)
{
    if (PyTuple_Check(header) && PyTuple_GET_SIZE(header) == 2) {
        *name = PyTuple_GET_ITEM(header, 0);
        *value = PyTuple_GET_ITEM(header, 1);
        return 1;
    }
    if (PyList_Check(header) && PyList_GET_SIZE(header) == 2) {
        *name = PyList_GET_ITEM(header, 0);
        *value = PyList_GET_ITEM(header, 1);
        return 1;
    }
    return 0;
}

/* What is no list of headers has none: who sends it will say so. */
static long long length_in(PyObject *headers)
{
    if (headers == NULL || (!PyList_Check(headers) && !PyTuple_Check(headers)))
        return -1;
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(headers); i++) {
        PyObject *name, *value;
        if (pair_of(PySequence_Fast_GET_ITEM(headers, i), &name, &value) && is_name(name))
            return size_of(value);
    }
    return -1;
}

PyObject *hvd_content_length(PyObject *module, PyObject *headers)
{
    long long size = length_in(headers);
    return PyErr_Occurred() ? NULL : PyLong_FromLongLong(size);
}

static long long size_of_response(PyObject *method, PyObject *headers, PyObject *body)
{
    if (PyUnicode_Check(method) && PyUnicode_CompareWithASCIIString(method, "HEAD") == 0)
        return 0;
    if (body != NULL && PyList_CheckExact(body) && PyList_GET_SIZE(body) == 1)
        body = PyList_GET_ITEM(body, 0);
    if (body != NULL && PyBytes_Check(body))
        return PyBytes_GET_SIZE(body);
    return length_in(headers);
}

int hvd_measure(PyObject *row, PyObject *runs, PyObject *method, PyObject *route, PyObject *length, PyObject *headers,
                PyObject *body)
{
    long long request = length == NULL ? -1 : size_of(length), response = size_of_response(method, headers, body);
    if (PyErr_Occurred())
        return -1;
    PyObject *arguments[] = {row, runs, PyTuple_Pack(2, method, route), PyLong_FromLongLong(request),
                             PyLong_FromLongLong(response)};
    PyObject *none = NULL;
    if (arguments[2] != NULL && arguments[3] != NULL && arguments[4] != NULL)
        none = PyObject_VectorcallMethod(hvd_text[MEASURE], arguments, 5, NULL);
    for (int i = 2; i < 5; i++)
        Py_XDECREF(arguments[i]);
    Py_XDECREF(none);
    return none == NULL ? -1 : 0;
}

PyObject *hvd_measure_call(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
    if (nargs != 7)
        return PyErr_Format(PyExc_TypeError, "measure takes 7 arguments (%zd given)", nargs);
    if (hvd_measure(args[0], args[1], args[2], args[3], args[4], args[5], args[6]) < 0)
        return NULL;
    Py_RETURN_NONE;
}
