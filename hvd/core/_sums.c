/* Adding up rows and buckets, compiled: the same as sum_rows and cumulate of hotrow.py. ACQUIRE keeps the order of the
 * loads, on every processor, as RELEASE does that of the stores in _hotrow.c.
 */

#include "_hotrow.h"
#include <string.h>

/* A row's head, read until two readings agree. Each cell is loaded after the one before it, so that a request which is
 * seen as started is seen in progress too (totals.py). */
static void read_head(const int64_t *row, int64_t *head, Py_ssize_t retries)
{
    int64_t again[HEAD_CELLS];
    for (int i = 0; i < HEAD_CELLS; i++)
        head[i] = __atomic_load_n(row + i, __ATOMIC_ACQUIRE);
    for (; retries > 0; retries--) {
        for (int i = 0; i < HEAD_CELLS; i++)
            again[i] = __atomic_load_n(row + i, __ATOMIC_ACQUIRE);
        if (memcmp(again, head, sizeof again) == 0)
            return;
        memcpy(head, again, sizeof again);
    }
}

/* Add a row's cells to the sums, as they are between two readings of its head that agree, and give that head. */
static void add_row(const int64_t *row, Py_ssize_t used, Py_ssize_t retries, int64_t *copy, int64_t *sums,
                    int64_t *head)
{
    int64_t before[HEAD_CELLS];
    Py_ssize_t copies = retries; /* the last head too is read until two readings agree, whatever the copies do */
    read_head(row, head, retries);
    do {
        memcpy(before, head, sizeof before);
        for (Py_ssize_t i = HEAD_CELLS; i < used; i++)
            copy[i] = __atomic_load_n(row + i, __ATOMIC_RELAXED);
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        read_head(row, head, retries);
    } while (memcmp(before, head, sizeof before) != 0 && --copies > 0);
    for (Py_ssize_t i = HEAD_CELLS; i < used; i++)
        sums[i] = (int64_t)((uint64_t)sums[i] + (uint64_t)copy[i]); /* damaged cells may overflow */
}

static int64_t *row_starts(PyObject *heads, Py_ssize_t used, Py_ssize_t cells)
{
    Py_ssize_t count = PyList_GET_SIZE(heads);
    int64_t *starts = PyMem_Malloc((size_t)(count + 1) * sizeof *starts);
    if (starts == NULL)
        return (int64_t *)PyErr_NoMemory();
    for (Py_ssize_t i = 0; i < count; i++) {
        starts[i] = PyLong_AsLongLong(PyList_GET_ITEM(heads, i));
        if (starts[i] < 0 || used > cells || starts[i] > cells - used) {
            if (!PyErr_Occurred())
                PyErr_Format(PyExc_ValueError, "a row at cell %lld is not within the block", (long long)starts[i]);
            PyMem_Free(starts);
            return NULL;
        }
    }
    return starts;
}

static PyObject *head_tuple(const int64_t *head)
{
    return Py_BuildValue("(LLLLLLLy#)", (long long)head[STARTED], (long long)head[FINISHED], (long long)head[ABORTED],
                         (long long)head[ERRORS], (long long)head[SERVER_ERRORS], (long long)head[BEGIN],
                         (long long)head[BUSY], (const char *)(head + TEXT), (Py_ssize_t)TEXT_BYTES);
}

/* hotrow.py, sum_rows. Without the interpreter's lock: a scrape of many rows holds no request up. */
PyObject *hvd_sum_rows(PyObject *module, PyObject *args)
{
    PyObject *raw, *heads, *sums = NULL, *read_heads = NULL, *result = NULL;
    Py_ssize_t used, retries;
    Py_buffer buffer;
    if (!PyArg_ParseTuple(args, "OO!nn", &raw, &PyList_Type, &heads, &used, &retries))
        return NULL;
    if (used < HEAD_CELLS || used > PY_SSIZE_T_MAX / 8)
        return PyErr_Format(PyExc_ValueError, "a row of %zd cells has no head", used);
    if (PyObject_GetBuffer(raw, &buffer, PyBUF_SIMPLE) < 0)
        return NULL;
    Py_ssize_t count = PyList_GET_SIZE(heads);
    int64_t *starts = row_starts(heads, used, (uintptr_t)buffer.buf % 8 ? 0 : buffer.len / 8), *copy = NULL;
    if (starts == NULL)
        goto done;
    copy = PyMem_Malloc((size_t)(used + count * HEAD_CELLS) * 8);
    sums = PyBytes_FromStringAndSize(NULL, used * 8); /* aligned: the bytes begin 32 bytes behind an object's address */
    read_heads = PyList_New(count);
    if (copy == NULL || sums == NULL || read_heads == NULL) {
        if (copy == NULL)
            PyErr_NoMemory();
        goto done;
    }
    int64_t *read = copy + used, *to = (int64_t *)PyBytes_AS_STRING(sums);
    memset(to, 0, (size_t)used * 8);
    Py_BEGIN_ALLOW_THREADS
    for (Py_ssize_t i = 0; i < count; i++)
        add_row((const int64_t *)buffer.buf + starts[i], used, retries, copy, to, read + i * HEAD_CELLS);
    Py_END_ALLOW_THREADS
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *head = head_tuple(read + i * HEAD_CELLS);
        if (head == NULL)
            goto done;
        PyList_SET_ITEM(read_heads, i, head);
    }
    result = PyTuple_Pack(2, sums, read_heads);
done:
    Py_XDECREF(sums);
    Py_XDECREF(read_heads);
    PyMem_Free(copy);
    PyMem_Free(starts);
    PyBuffer_Release(&buffer);
    return result;
}

/* hotrow.py, cumulate. */
PyObject *hvd_cumulate(PyObject *module, PyObject *args)
{
    PyObject *source, *ends, *sums = NULL;
    Py_ssize_t start, at = 0;
    int64_t sum = 0;
    Py_buffer buffer;
    if (!PyArg_ParseTuple(args, "OnO!", &source, &start, &PyTuple_Type, &ends))
        return NULL;
    if (PyObject_GetBuffer(source, &buffer, PyBUF_SIMPLE) < 0)
        return NULL;
    Py_ssize_t cells = buffer.len / 8, count = PyTuple_GET_SIZE(ends);
    if ((uintptr_t)buffer.buf % 8) {
        PyErr_SetString(PyExc_ValueError, "cells are aligned to 8 bytes");
        goto done;
    }
    sums = PyTuple_New(count);
    for (Py_ssize_t i = 0; sums != NULL && i < count; i++) {
        Py_ssize_t end = PyLong_AsSsize_t(PyTuple_GET_ITEM(ends, i));
        if (start < 0 || end < at || end > cells - start) {
            if (!PyErr_Occurred())
                PyErr_Format(PyExc_IndexError, "cells %zd to %zd + %zd are not among %zd", start, start, end, cells);
            Py_CLEAR(sums);
            break;
        }
        for (; at < end; at++)
            sum += ((const int64_t *)buffer.buf)[start + at];
        PyObject *number = PyLong_FromLongLong(sum);
        if (number == NULL)
            Py_CLEAR(sums);
        else
            PyTuple_SET_ITEM(sums, i, number);
    }
done:
    PyBuffer_Release(&buffer);
    return sums;
}
