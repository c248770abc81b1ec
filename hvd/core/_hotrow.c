/* The hot path of a row, compiled: the same as hotrow.py, which says what each store means and in which order.
 *
 * One thread calls a row (the one that requests share is _hotentry.c's), so a cell is read plainly and written with one
 * aligned store; RELEASE keeps the order of the stores for readers in other processes, on every processor.
 */

#include "_hotrow.h"
#include <string.h>

int64_t hvd_bounds[MAX_BOUNDS];
Py_ssize_t hvd_bound_count;

/* 0, with an exception set, for a row that __new__ made and __init__ did not: it has no cells. */
static int is_made(HotRow *self)
{
    if (self->cells != NULL)
        return 1;
    PyErr_SetString(PyExc_RuntimeError, "the row has no cells: its __init__ did not run, or failed");
    return 0;
}

/* The first cell of the run of these label values; -1 with an exception set. */
static Py_ssize_t run_of(HotRow *self, PyObject *runs, PyObject *labels)
{
    PyObject *cell = PyObject_GetItem(runs, labels); /* not PyDict_GetItem, which skips Runs.__missing__ */
    if (cell == NULL)
        return -1;
    Py_ssize_t base = PyLong_AsSsize_t(cell);
    Py_DECREF(cell);
    if (base == -1 && PyErr_Occurred())
        return -1;
    if (base <= 0 || base >= self->count - 2 - hvd_bound_count) { /* nothing added to base: that could overflow */
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

int hvd_text_of(char *text, PyObject *const *words, Py_ssize_t count)
{
    char *end = text + TEXT_BYTES, *at = text;
    memset(text, 0, TEXT_BYTES);
    for (Py_ssize_t i = 0; i < count; i++) {
        if (i > 0 && at < end)
            *at++ = ' ';
        if (copy_text(at, end, &at, words[i]) < 0)
            return -1;
    }
    return 0;
}

static int call_abandon(HotRow *self, const char *cause)
{
    PyObject *result = PyObject_CallMethod((PyObject *)self, "abandon", "s", cause);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

int hvd_check_arguments(const char *name, Py_ssize_t count, Py_ssize_t wanted)
{
    if (count == wanted)
        return 0;
    PyErr_Format(PyExc_TypeError, "%s() takes %zd arguments (%zd given)", name, wanted, count);
    return -1;
}

static PyObject *begin(HotRow *self, PyObject *const *args, Py_ssize_t nargs)
{
    if (!is_made(self))
        return NULL;
    if (self->cells[BEGIN] != 0 && call_abandon(self, "exception") < 0)
        return NULL;
    char text[TEXT_BYTES];
    if (hvd_text_of(text, args, nargs) < 0)
        return NULL;
    memcpy(self->cells + TEXT, text, TEXT_BYTES);
    self->base = 0;
    self->began = now_ns();
    put(self->cells + BEGIN, self->began);
    add(self->cells + STARTED, 1);
    Py_RETURN_NONE;
}

static PyObject *respond(HotRow *self, PyObject *const *args, Py_ssize_t nargs)
{
    if (!is_made(self) || hvd_check_arguments("respond", nargs, 2) < 0)
        return NULL;
    Py_ssize_t base = run_of(self, self->runs, args[0]);
    if (base < 0)
        return NULL;
    self->base = base;
    add_shared(self->cells + base, 1);
    int is_error = PyObject_IsTrue(args[1]), overflow = 0;
    if (is_error < 0)
        return NULL;
    if (is_error)
        add_shared(self->cells + ERRORS, 1);
    if (PyLong_CheckExact(args[1]) && PyLong_AsLongAndOverflow(args[1], &overflow) == SERVER_ERROR)
        add_shared(self->cells + SERVER_ERRORS, 1);
    Py_RETURN_NONE;
}

static PyObject *pass_on(HotRow *self, PyObject *labels)
{
    if (!is_made(self))
        return NULL;
    Py_ssize_t base = run_of(self, self->runs, labels);
    if (base < 0)
        return NULL;
    self->base = base;
    Py_RETURN_NONE;
}

static PyObject *finish(HotRow *self, PyObject *unused)
{
    if (!is_made(self))
        return NULL;
    if (self->cells[BEGIN] == 0)
        Py_RETURN_NONE;
    if (self->base == 0)
        return call_abandon(self, "no_response") < 0 ? NULL : Py_NewRef(Py_None);
    int64_t ns = now_ns() - self->began;
    add(self->cells + self->base + 1, ns);
    add(self->cells + self->base + 2 + bucket_of(ns), 1);
    add(self->cells + FINISHED, 1);
    put(self->cells + BEGIN, 0);
    Py_RETURN_NONE;
}

static PyObject *record(HotRow *self, PyObject *const *args, Py_ssize_t nargs)
{
    if (!is_made(self) || hvd_check_arguments("record", nargs, 3) < 0)
        return NULL;
    Py_ssize_t base = run_of(self, args[0], args[1]);
    if (base < 0)
        return NULL;
    long long ns = PyLong_AsLongLong(args[2]);
    if (ns == -1 && PyErr_Occurred())
        return NULL;
    add_shared(self->cells + base + 1, ns);
    add_shared(self->cells + base, 1);
    add_shared(self->cells + base + 2 + bucket_of(ns), 1);
    Py_RETURN_NONE;
}

/* amounts.py, bucket_of */
static inline int bucket_of_amount(int64_t amount)
{
    int bits = amount > 1 ? 64 - __builtin_clzll((uint64_t)(amount - 1)) : 0;
    return bits > POWERS ? POWERS + 1 : bits;
}

static PyObject *measure(HotRow *self, PyObject *const *args, Py_ssize_t nargs)
{
    if (!is_made(self))
        return NULL;
    if (nargs < 3 || nargs > 4)
        return PyErr_Format(PyExc_TypeError, "measure() takes one amount or two (%zd arguments given)", nargs);
    Py_ssize_t at = run_of(self, args[0], args[1]); /* which leaves room for a run of durations, and so for this one */
    if (at < 0)
        return NULL;
    add_shared(self->cells + at++, 1);
    for (Py_ssize_t i = 2; i < nargs; i++, at += AMOUNT_CELLS) {
        long long amount = PyLong_AsLongLong(args[i]);
        if (amount == -1 && PyErr_Occurred())
            return NULL;
        if (amount < 0)
            continue;
        add_shared(self->cells + at, amount);
        add_shared(self->cells + at + 1 + bucket_of_amount(amount), 1);
    }
    Py_RETURN_NONE;
}

static int init(HotRow *self, PyObject *args, PyObject *kwargs)
{
    PyObject *raw, *runs;
    Py_ssize_t head, count;
    static char *names[] = {"raw", "head", "count", "runs", NULL};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OnnO", names, &raw, &head, &count, &runs))
        return -1;
    if (self->buffer.obj != NULL || self->cells != NULL) {
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
    Py_XSETREF(self->runs, Py_NewRef(runs));
    Py_XSETREF(self->interrupted, Py_NewRef(Py_None)); /* a row that only __new__ made takes attributes too */
    Py_XSETREF(self->exchange, Py_NewRef(Py_None));
    return 0;
}

int hvd_row_traverse(HotRow *self, visitproc visit, void *arg)
{
    Py_VISIT(self->runs);
    Py_VISIT(self->interrupted);
    Py_VISIT(self->exchange); /* it refers to the row; where a thread ended within a request, only this cycle holds both */
    return 0;
}

/* Runs stay: an owner that still has the row may call it. */
int hvd_row_clear(HotRow *self)
{
    Py_CLEAR(self->interrupted);
    Py_CLEAR(self->exchange);
    return 0;
}

static void dealloc(HotRow *self)
{
    PyObject_GC_UnTrack(self);
    hvd_row_clear(self);
    if (self->buffer.obj != NULL)
        PyBuffer_Release(&self->buffer);
    Py_XDECREF(self->runs);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyMethodDef row_methods[] = {
    FASTCALL("begin", begin, NULL),
    FASTCALL("respond", respond, NULL),
    {"pass_on", (PyCFunction)pass_on, METH_O, NULL},
    {"finish", (PyCFunction)finish, METH_NOARGS, NULL},
    FASTCALL("record", record, NULL),
    FASTCALL("measure", measure, NULL),
    {0},
};

static PyMemberDef row_members[] = {
    {"interrupted", T_OBJECT, offsetof(HotRow, interrupted), 0, NULL},
    {"exchange", T_OBJECT, offsetof(HotRow, exchange), 0, NULL},
    {"base", T_PYSSIZET, offsetof(HotRow, base), READONLY, NULL},
    {0},
};

PyTypeObject hvd_row_type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "hvd.core._hotrow.HotRow",
    .tp_basicsize = sizeof(HotRow),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .tp_doc = "See hotrow.py.",
    .tp_new = PyType_GenericNew,
    .tp_init = (initproc)init,
    .tp_traverse = (traverseproc)hvd_row_traverse,
    .tp_clear = (inquiry)hvd_row_clear,
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
    for (Py_ssize_t i = 0; i < count && !PyErr_Occurred(); i++)
        hvd_bounds[i] = PyLong_AsLongLong(PySequence_Fast_GET_ITEM(list, i));
    Py_DECREF(list);
    if (PyErr_Occurred())
        return NULL;
    hvd_bound_count = count;
    Py_RETURN_NONE;
}

/* hotrow.py, fence. */
static PyObject *fence(PyObject *module, PyObject *unused)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    Py_RETURN_NONE;
}

static PyMethodDef module_methods[] = {
    {"cumulate", hvd_cumulate, METH_VARARGS, NULL},
    {"fence", fence, METH_NOARGS, NULL},
    {"set_bounds", set_bounds, METH_O, NULL},
    {"sum_rows", hvd_sum_rows, METH_VARARGS, NULL},
    {0},
};

static int execute(PyObject *module)
{
    if (PyModule_AddType(module, &hvd_row_type) < 0 || hvd_add_entry_types(module) < 0)
        return -1;
    PyObject *layout = Py_BuildValue("(iiiiiiiiiiiiiiiiii)", STARTED, FINISHED, ABORTED, ERRORS, BEGIN, BUSY, SERVER_ERRORS,
                                     TEXT, TEXT_BYTES, HEAD_CELLS, SHARED, ENTRIES, ENTRY_CELLS, ENTRY_THREAD, ENTRY_TEXT,
                                     POWERS, AMOUNT_CELLS, SERVER_ERROR);
    if (layout == NULL)
        return -1;
    int result = PyModule_AddObjectRef(module, "LAYOUT", layout);
    Py_DECREF(layout);
    return result;
}

HVD_MODULE(_hotrow, "hvd.core._hotrow", module_methods, execute)
