/* What is compiled of hvd: the hot path of a row, the same as hotrow.py beside it, which says what each store means and
 * in which order; and the adding up of rows and buckets, the same as sum_rows and cumulate there.
 *
 * One thread calls a row (its own, or under SharedRow's lock), so a cell is read plainly and written with one aligned
 * store; RELEASE keeps the order of the stores for readers in other processes, and ACQUIRE that of their loads, on every
 * processor.
 */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

/* layout.py; the module is refused by hot.py where they differ, see LAYOUT below. */
enum { STARTED = 0, FINISHED = 1, ERRORS = 3, BEGIN = 4, TEXT = 8, TEXT_BYTES = 64, HEAD_CELLS = 16, MAX_BOUNDS = 512 };

typedef struct {
    PyObject_HEAD
    Py_buffer buffer;      /* of the whole block: keeps the mapping alive */
    int64_t *cells;        /* the row's head */
    Py_ssize_t count;      /* cells of the row */
    PyObject *known;       /* labels of a response -> first cell of the run */
    PyObject *interrupted; /* for the worker: what an exception took the thread out of */
    PyObject *exchange;    /* for the worker: what the thread serves */
    Py_ssize_t base;       /* first cell of the run of the request in progress; 0 until it is answered */
    int64_t began;         /* ns */
} HotRow;

static int64_t bounds[MAX_BOUNDS];
static Py_ssize_t bound_count;

static inline void put(int64_t *cell, int64_t value)
{
    __atomic_store_n(cell, value, __ATOMIC_RELEASE);
}

static inline void add(int64_t *cell, int64_t by)
{
    put(cell, (int64_t)((uint64_t)*cell + (uint64_t)by)); /* a damaged cell may overflow */
}

static inline int64_t now_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time); /* what time.monotonic_ns() reads, and readers compare with */
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

/* bisect_left(BOUNDS, ns) */
static inline Py_ssize_t bucket_of(int64_t ns)
{
    Py_ssize_t low = 0, high = bound_count;
    while (low < high) {
        Py_ssize_t middle = (low + high) / 2;
        if (bounds[middle] < ns)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* 0, with an exception set, for a row that __new__ made and __init__ did not: it has no cells. */
static int is_made(HotRow *self)
{
    if (self->cells != NULL)
        return 1;
    PyErr_SetString(PyExc_RuntimeError, "the row has no cells: its __init__ did not run, or failed");
    return 0;
}

/* The first cell of the run of these label values; -1 with an exception set. */
static Py_ssize_t run_of(HotRow *self, PyObject *known, PyObject *labels)
{
    PyObject *found = PyObject_GetItem(known, labels); /* not PyDict_GetItem: Known looks up what it doesn't know */
    if (found == NULL)
        return -1;
    Py_ssize_t base = PyLong_AsSsize_t(found);
    Py_DECREF(found);
    if (base == -1 && PyErr_Occurred())
        return -1;
    if (base <= 0 || base >= self->count - 2 - bound_count) { /* nothing added to base: that could overflow */
        PyErr_Format(PyExc_IndexError, "run at cell %zd is outside of the row's %zd cells", base, self->count);
        return -1;
    }
    return base;
}

static int copy_text(char *to, char *end, char **at, PyObject *text)
{
    if (!PyUnicode_Check(text)) {
        PyErr_SetString(PyExc_TypeError, "what a row says of a request is made of strings");
        return -1;
    }
    int kind = PyUnicode_KIND(text);
    const void *data = PyUnicode_DATA(text);
    Py_ssize_t length = PyUnicode_GET_LENGTH(text), room = end - to;
    length = length < room ? length : room;
    if (kind == PyUnicode_1BYTE_KIND)
        memcpy(to, data, (size_t)length);
    else
        for (Py_ssize_t i = 0; i < length; i++) {
            Py_UCS4 character = PyUnicode_READ(kind, data, i);
            to[i] = character < 256 ? (char)character : '?';
        }
    *at = to + length;
    return 0;
}

static int store_text(HotRow *self, PyObject *const *words, Py_ssize_t count)
{
    char text[TEXT_BYTES] = {0}, *end = text + TEXT_BYTES, *at = text;
    for (Py_ssize_t i = 0; i < count; i++) {
        if (i > 0 && at < end)
            *at++ = ' ';
        if (copy_text(at, end, &at, words[i]) < 0)
            return -1;
    }
    memcpy(self->cells + TEXT, text, TEXT_BYTES);
    return 0;
}

static int call_abandon(HotRow *self, const char *cause)
{
    PyObject *result = PyObject_CallMethod((PyObject *)self, "abandon", "s", cause);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

static int check_arguments(const char *name, Py_ssize_t given, Py_ssize_t wanted)
{
    if (given == wanted)
        return 0;
    PyErr_Format(PyExc_TypeError, "%s() takes %zd arguments (%zd given)", name, wanted, given);
    return -1;
}

static PyObject *begin(HotRow *self, PyObject *const *args, Py_ssize_t nargs)
{
    if (!is_made(self))
        return NULL;
    if (self->cells[BEGIN] != 0 && call_abandon(self, "exception") < 0)
        return NULL;
    if (store_text(self, args, nargs) < 0)
        return NULL;
    self->base = 0;
    self->began = now_ns();
    put(self->cells + BEGIN, self->began);
    add(self->cells + STARTED, 1);
    Py_RETURN_NONE;
}

static PyObject *respond(HotRow *self, PyObject *const *args, Py_ssize_t nargs)
{
    if (!is_made(self) || check_arguments("respond", nargs, 2) < 0)
        return NULL;
    Py_ssize_t base = run_of(self, self->known, args[0]);
    if (base < 0)
        return NULL;
    self->base = base;
    add(self->cells + base, 1);
    int is_error = PyObject_IsTrue(args[1]);
    if (is_error < 0)
        return NULL;
    if (is_error)
        add(self->cells + ERRORS, 1);
    Py_RETURN_NONE;
}

static PyObject *pass_on(HotRow *self, PyObject *labels)
{
    if (!is_made(self))
        return NULL;
    Py_ssize_t base = run_of(self, self->known, labels);
    if (base < 0)
        return NULL;
    self->base = base;
    Py_RETURN_NONE;
}

static PyObject *finish(HotRow *self, PyObject *unused)
{
    if (!is_made(self))
        return NULL;
    if (self->base == 0) {
        if (call_abandon(self, "no_response") < 0)
            return NULL;
        Py_RETURN_NONE;
    }
    int64_t ns = now_ns() - self->began;
    add(self->cells + self->base + 1, ns);
    add(self->cells + self->base + 2 + bucket_of(ns), 1);
    add(self->cells + FINISHED, 1);
    put(self->cells + BEGIN, 0);
    Py_RETURN_NONE;
}

static PyObject *record(HotRow *self, PyObject *const *args, Py_ssize_t nargs)
{
    if (!is_made(self) || check_arguments("record", nargs, 3) < 0)
        return NULL;
    Py_ssize_t base = run_of(self, args[0], args[1]);
    if (base < 0)
        return NULL;
    long long ns = PyLong_AsLongLong(args[2]);
    if (ns == -1 && PyErr_Occurred())
        return NULL;
    add(self->cells + base + 1, ns);
    add(self->cells + base, 1);
    add(self->cells + base + 2 + bucket_of(ns), 1);
    Py_RETURN_NONE;
}

static int init(HotRow *self, PyObject *args, PyObject *kwargs)
{
    PyObject *raw, *known;
    Py_ssize_t head, count;
    static char *names[] = {"raw", "head", "count", "known", NULL};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OnnO", names, &raw, &head, &count, &known))
        return -1;
    if (self->buffer.obj != NULL) {
        PyErr_SetString(PyExc_RuntimeError, "a row is made once");
        return -1;
    }
    if (PyObject_GetBuffer(raw, &self->buffer, PyBUF_WRITABLE) < 0)
        return -1;
    Py_ssize_t cells = self->buffer.len / 8;
    if (head < 0 || count < 16 || count > cells || head > cells - count || (uintptr_t)self->buffer.buf % 8) {
        PyErr_SetString(PyExc_ValueError, "the row is not within the block");
        return -1;
    }
    self->cells = (int64_t *)self->buffer.buf + head;
    self->count = count;
    Py_XSETREF(self->known, Py_NewRef(known));
    Py_XSETREF(self->interrupted, Py_NewRef(Py_None)); /* one that is not made yet takes attributes too */
    Py_XSETREF(self->exchange, Py_NewRef(Py_None));
    return 0;
}

static void dealloc(HotRow *self)
{
    if (self->buffer.obj != NULL)
        PyBuffer_Release(&self->buffer);
    Py_XDECREF(self->known);
    Py_XDECREF(self->interrupted);
    Py_XDECREF(self->exchange);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyMethodDef row_methods[] = {
    {"begin", (PyCFunction)(void (*)(void))begin, METH_FASTCALL, NULL},
    {"respond", (PyCFunction)(void (*)(void))respond, METH_FASTCALL, NULL},
    {"pass_on", (PyCFunction)pass_on, METH_O, NULL},
    {"finish", (PyCFunction)finish, METH_NOARGS, NULL},
    {"record", (PyCFunction)(void (*)(void))record, METH_FASTCALL, NULL},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef row_members[] = {
    {"interrupted", T_OBJECT, offsetof(HotRow, interrupted), 0, NULL},
    {"exchange", T_OBJECT, offsetof(HotRow, exchange), 0, NULL},
    {"base", T_PYSSIZET, offsetof(HotRow, base), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyTypeObject row_type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "hvd.core._hotrow.HotRow",
    .tp_basicsize = sizeof(HotRow),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .tp_doc = "See hotrow.py.",
    .tp_new = PyType_GenericNew,
    .tp_init = (initproc)init,
    .tp_dealloc = (destructor)dealloc,
    .tp_methods = row_methods,
    .tp_members = row_members,
};

/* Called once, at import of hot.py: the bounds of the buckets. */
static PyObject *set_bounds(PyObject *module, PyObject *values)
{
    PyObject *list = PySequence_Fast(values, "bounds are a sequence");
    if (list == NULL)
        return NULL;
    Py_ssize_t count = PySequence_Fast_GET_SIZE(list);
    if (count > MAX_BOUNDS) {
        Py_DECREF(list);
        return PyErr_Format(PyExc_ValueError, "%zd bounds; there is room for %d", count, MAX_BOUNDS);
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        bounds[i] = PyLong_AsLongLong(PySequence_Fast_GET_ITEM(list, i));
        if (bounds[i] == -1 && PyErr_Occurred()) {
            Py_DECREF(list);
            return NULL;
        }
    }
    bound_count = count;
    Py_DECREF(list);
    Py_RETURN_NONE;
}

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
static void add_row(const int64_t *row, Py_ssize_t used, Py_ssize_t retries, int64_t *copy, int64_t *sums, int64_t *head)
{
    int64_t before[HEAD_CELLS];
    read_head(row, head, retries);
    do {
        memcpy(before, head, sizeof before);
        for (Py_ssize_t i = HEAD_CELLS; i < used; i++)
            copy[i] = __atomic_load_n(row + i, __ATOMIC_RELAXED);
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        read_head(row, head, retries);
    } while (memcmp(before, head, sizeof before) != 0 && --retries > 0);
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
    return Py_BuildValue("(LLLLLLy#)", (long long)head[0], (long long)head[1], (long long)head[2], (long long)head[3],
                         (long long)head[4], (long long)head[5], (const char *)(head + TEXT), (Py_ssize_t)TEXT_BYTES);
}

/* hotrow.py, sum_rows. Without the interpreter's lock: a scrape of many rows holds no request up. */
static PyObject *sum_rows(PyObject *module, PyObject *args)
{
    PyObject *raw, *heads, *sums = NULL, *found = NULL, *result = NULL;
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
    found = PyList_New(count);
    if (copy == NULL || sums == NULL || found == NULL) {
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
        PyList_SET_ITEM(found, i, head);
    }
    result = PyTuple_Pack(2, sums, found);
done:
    Py_XDECREF(sums);
    Py_XDECREF(found);
    PyMem_Free(copy);
    PyMem_Free(starts);
    PyBuffer_Release(&buffer);
    return result;
}

/* hotrow.py, fence. */
static PyObject *fence(PyObject *module, PyObject *unused)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    Py_RETURN_NONE;
}

/* hotrow.py, cumulate. */
static PyObject *cumulate(PyObject *module, PyObject *args)
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
        if (end == -1 && PyErr_Occurred()) {
            Py_CLEAR(sums);
            break;
        }
        if (start < 0 || end < at || end > cells - start) {
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

static PyMethodDef module_methods[] = {
    {"cumulate", cumulate, METH_VARARGS, NULL},
    {"fence", fence, METH_NOARGS, NULL},
    {"set_bounds", set_bounds, METH_O, NULL},
    {"sum_rows", sum_rows, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static int execute(PyObject *module)
{
    if (PyModule_AddType(module, &row_type) < 0)
        return -1;
    PyObject *layout = Py_BuildValue("(iiiiiii)", STARTED, FINISHED, ERRORS, BEGIN, TEXT, TEXT_BYTES, HEAD_CELLS);
    if (layout == NULL)
        return -1;
    int result = PyModule_AddObjectRef(module, "LAYOUT", layout);
    Py_DECREF(layout);
    return result;
}

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, execute},
#ifdef Py_GIL_DISABLED
    {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#endif
    {0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "hvd.core._hotrow",
    .m_methods = module_methods,
    .m_slots = slots,
};

PyMODINIT_FUNC PyInit__hotrow(void)
{
    return PyModuleDef_Init(&definition);
}
