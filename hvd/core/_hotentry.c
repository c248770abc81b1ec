/* Requests that share a row, compiled: the same as hotentry.py, which says what each store means and in which order.
 *
 * No Python code runs between the loads and stores of one call, so the interpreter's lock keeps threads, signal handlers
 * and destructors apart. Without that lock the shared cells are added to atomically, and a critical section guards the
 * numbers of free entries.
 */

#include "_hotrow.h"
#include <string.h>
#include <unistd.h>

#if PY_VERSION_HEX < 0x030D0000
#define Py_IsFinalizing _Py_IsFinalizing
#define Py_BEGIN_CRITICAL_SECTION(object) {
#define Py_END_CRITICAL_SECTION() }
#endif

typedef struct {
    PyObject_HEAD
    Py_buffer buffer; /* of the whole block: keeps the mapping alive */
    int64_t *slot;    /* the slot's record */
    int64_t *cells;   /* the row's head */
    int64_t *entries; /* the slot's first entry */
    Py_ssize_t count; /* cells of the row */
    PyObject *runs, *aborted; /* labels of a response, and of a cause -> first cell of the run */
    Py_ssize_t exception;     /* cell of the cause "exception"; 0 until the first entry is made */
    pid_t pid;
    Py_ssize_t *free; /* numbers of the entries that no request has; the last one is taken first */
    Py_ssize_t free_count;
    char by_entry; /* an entry stands for a thread, by its id() */
} Sharing;

typedef struct {
    HotRow row;
    Sharing *sharing;
    int64_t *entry; /* of the request in progress; NULL where there is no room for it */
    int64_t thread; /* what stands for its thread in stacks; 0: the calling thread's number, or the object's id() */
} HotEntry;

/* The cell of this cause; -1 with an exception set. */
static Py_ssize_t cell_of(Sharing *self, PyObject *cause)
{
    PyObject *labels = PyTuple_Pack(1, cause);
    PyObject *number = labels == NULL ? NULL : PyObject_GetItem(self->aborted, labels);
    Py_XDECREF(labels);
    if (number == NULL)
        return -1;
    Py_ssize_t cell = PyLong_AsSsize_t(number);
    Py_DECREF(number);
    if (cell == -1 && PyErr_Occurred())
        return -1;
    if (cell >= HEAD_CELLS && cell < self->count)
        return cell;
    PyErr_Format(PyExc_IndexError, "cell %zd is outside of the row's %zd cells", cell, self->count);
    return -1;
}

static Py_ssize_t cell_of_text(Sharing *self, const char *cause)
{
    PyObject *text = PyUnicode_FromString(cause);
    Py_ssize_t cell = text == NULL ? -1 : cell_of(self, text);
    Py_XDECREF(text);
    return cell;
}

static int64_t *take_entry(Sharing *self)
{
    int64_t *entry = NULL;
    Py_BEGIN_CRITICAL_SECTION(self);
    if (self->free_count) {
        Py_ssize_t number = self->free[--self->free_count];
        entry = self->entries + number * ENTRY_CELLS;
        if (number >= self->slot[ENTRIES])
            put(self->slot + ENTRIES, number + 1);
    }
    Py_END_CRITICAL_SECTION();
    return entry;
}

static void give_entry_back(Sharing *self, int64_t *entry)
{
    put(entry + ENTRY_BEGIN, 0);
    Py_BEGIN_CRITICAL_SECTION(self);
    self->free[self->free_count++] = (entry - self->entries) / ENTRY_CELLS;
    Py_END_CRITICAL_SECTION();
}

/* The request in progress ends: it counts in this cell of the head, and where there is a cause, under that. */
static void end(HotEntry *self, Py_ssize_t ended, Py_ssize_t cause)
{
    int64_t *cells = self->row.cells, *entry = self->entry;
    if (entry != NULL)
        put(entry + ENTRY_BEGIN, -self->row.began);
    add_shared(cells + ended, 1);
    if (cause)
        add_shared(cells + cause, 1);
    if (entry != NULL)
        give_entry_back(self->sharing, entry);
    add_shared(cells + BUSY, -1);
    self->entry = NULL;
    self->row.began = 0;
}

static PyObject *begin(HotEntry *self, PyObject *const *args, Py_ssize_t nargs)
{
    char text[TEXT_BYTES];
    if (self->row.began)
        end(self, ABORTED, self->sharing->exception);
    if (hvd_text_of(text, args, nargs) < 0)
        return NULL;
    int64_t *cells = self->row.cells, *entry = take_entry(self->sharing);
    self->entry = entry;
    self->row.base = 0;
    self->row.began = now_ns();
    add_shared(cells + BUSY, 1);
    if (entry != NULL) {
        __atomic_thread_fence(__ATOMIC_RELEASE); /* the text comes after the begin time 0 of the request before */
        memcpy(entry + ENTRY_TEXT, text, TEXT_BYTES);
        int64_t own = self->sharing->by_entry ? (int64_t)(uintptr_t)self : (int64_t)PyThread_get_thread_ident();
        put(entry + ENTRY_THREAD, self->thread ? self->thread : own);
        put(entry + ENTRY_BEGIN, -self->row.began);
    }
    add_shared(cells + STARTED, 1);
    if (entry != NULL)
        put(entry + ENTRY_BEGIN, self->row.began);
    Py_RETURN_NONE;
}

static PyObject *abandon(HotEntry *self, PyObject *cause)
{
    if (self->row.began) {
        Py_ssize_t cell = cell_of(self->sharing, cause);
        if (cell < 0)
            return NULL;
        if (self->row.began) /* else ended by what found the cell */
            end(self, ABORTED, cell);
    }
    Py_XSETREF(self->row.interrupted, Py_NewRef(Py_None));
    Py_RETURN_NONE;
}

static PyObject *finish(HotEntry *self, PyObject *unused)
{
    HotRow *row = &self->row;
    if (!row->began)
        Py_RETURN_NONE;
    if (row->base == 0) {
        PyObject *cause = PyUnicode_FromString("no_response");
        PyObject *result = cause == NULL ? NULL : abandon(self, cause);
        Py_XDECREF(cause);
        return result;
    }
    int64_t ns = now_ns() - row->began;
    add_shared(row->cells + row->base + 1, ns);
    add_shared(row->cells + row->base + 2 + bucket_of(ns), 1);
    end(self, FINISHED, 0);
    Py_RETURN_NONE;
}

static PyObject *add_to_cell(HotEntry *self, PyObject *const *args, Py_ssize_t nargs)
{
    if (hvd_check_arguments("add", nargs, 2) < 0)
        return NULL;
    Py_ssize_t offset = PyNumber_AsSsize_t(args[0], PyExc_IndexError);
    if (offset == -1 && PyErr_Occurred())
        return NULL;
    if (offset < 0 || offset >= self->row.count)
        return PyErr_Format(PyExc_IndexError, "cell %zd is outside of the row's %zd cells", offset, self->row.count);
    long long by = PyLong_AsLongLong(args[1]);
    if (by == -1 && PyErr_Occurred())
        return NULL;
    add_shared(self->row.cells + offset, by);
    Py_RETURN_NONE;
}

static PyObject *release(HotEntry *self, PyObject *unused)
{
    if (self->row.began && self->sharing->pid == getpid() && !Py_IsFinalizing())
        end(self, ABORTED, self->sharing->exception);
    Py_RETURN_NONE;
}

static PyObject *is_busy(HotEntry *self, void *unused)
{
    return PyBool_FromLong(self->row.began != 0);
}

static int entry_traverse(HotEntry *self, visitproc visit, void *arg)
{
    Py_VISIT(self->sharing);
    return hvd_row_traverse(&self->row, visit, arg);
}

static void entry_dealloc(HotEntry *self)
{
    PyObject_GC_UnTrack(self);
    release(self, NULL);
    hvd_row_clear(&self->row);
    Py_DECREF(self->row.runs);
    Py_DECREF(self->sharing);
    PyObject_GC_Del(self);
}

static PyMethodDef entry_methods[] = {
    FASTCALL("begin", begin, NULL),
    {"finish", (PyCFunction)finish, METH_NOARGS, NULL},
    {"abandon", (PyCFunction)abandon, METH_O, NULL},
    {"release", (PyCFunction)release, METH_NOARGS, NULL},
    FASTCALL("add", add_to_cell, NULL),
    {0},
};

static PyMemberDef entry_members[] = {{"thread", T_LONGLONG, offsetof(HotEntry, thread), 0, NULL}, {0}};

static PyGetSetDef entry_properties[] = {{"is_busy", (getter)is_busy, NULL, NULL, NULL}, {0}};

static PyTypeObject entry_type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "hvd.core._hotrow.HotEntry",
    .tp_base = &hvd_row_type,
    .tp_basicsize = sizeof(HotEntry),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .tp_doc = "See hotentry.py.",
    .tp_traverse = (traverseproc)entry_traverse,
    .tp_clear = (inquiry)hvd_row_clear,
    .tp_dealloc = (destructor)entry_dealloc,
    .tp_methods = entry_methods,
    .tp_members = entry_members,
    .tp_getset = entry_properties,
};

static PyObject *make_entry(Sharing *self, PyObject *unused)
{
    if (self->cells == NULL)
        return PyErr_Format(PyExc_RuntimeError, "the row has no cells: its __init__ did not run, or failed");
    if (self->exception == 0) { /* now: a destructor must not wait for the catalogue */
        Py_ssize_t cell = cell_of_text(self, "exception");
        if (cell < 0)
            return NULL;
        self->exception = cell;
        put(self->slot + SHARED, 1);
    }
    HotEntry *entry = PyObject_GC_New(HotEntry, &entry_type);
    if (entry == NULL)
        return NULL;
    memset((char *)entry + sizeof(PyObject), 0, sizeof *entry - sizeof(PyObject));
    entry->row.cells = self->cells;
    entry->row.count = self->count;
    entry->row.runs = Py_NewRef(self->runs);
    entry->row.interrupted = Py_NewRef(Py_None);
    entry->row.exchange = Py_NewRef(Py_None);
    entry->sharing = (Sharing *)Py_NewRef(self);
    PyObject_GC_Track(entry);
    return (PyObject *)entry;
}

static int is_within(Py_ssize_t first, Py_ssize_t count, Py_ssize_t cells)
{
    return first >= 0 && count >= 0 && count <= cells && first <= cells - count;
}

static int sharing_init(Sharing *self, PyObject *args, PyObject *kwargs)
{
    PyObject *raw, *runs, *aborted;
    Py_ssize_t slot, head, count, first, entries;
    static char *names[] = {"raw", "slot", "head", "count", "first", "entries", "runs", "aborted", NULL};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OnnnnnOO", names, &raw, &slot, &head, &count, &first, &entries, &runs,
                                     &aborted))
        return -1;
    if (self->buffer.obj != NULL) {
        PyErr_SetString(PyExc_RuntimeError, "a shared row is made once");
        return -1;
    }
    if (PyObject_GetBuffer(raw, &self->buffer, PyBUF_WRITABLE) < 0)
        return -1;
    Py_ssize_t cells = (uintptr_t)self->buffer.buf % 8 ? 0 : self->buffer.len / 8;
    if (!is_within(slot, ENTRIES + 1, cells) || count < HEAD_CELLS || !is_within(head, count, cells) ||
        entries < 0 || entries > cells / ENTRY_CELLS || !is_within(first, entries * ENTRY_CELLS, cells)) {
        PyErr_SetString(PyExc_ValueError, "the shared row is not within the block");
        return -1;
    }
    self->free = PyMem_Calloc((size_t)entries + 1, sizeof *self->free);
    if (self->free == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (self->free_count = 0; self->free_count < entries; self->free_count++)
        self->free[self->free_count] = entries - 1 - self->free_count;
    int64_t *block = self->buffer.buf;
    self->slot = block + slot;
    self->cells = block + head;
    self->entries = block + first;
    self->count = count;
    self->pid = getpid();
    self->runs = Py_NewRef(runs);
    self->aborted = Py_NewRef(aborted);
    return 0;
}

static int sharing_traverse(Sharing *self, visitproc visit, void *arg)
{
    Py_VISIT(self->runs);
    Py_VISIT(self->aborted);
    return 0;
}

static void sharing_dealloc(Sharing *self)
{
    PyObject_GC_UnTrack(self);
    if (self->buffer.obj != NULL)
        PyBuffer_Release(&self->buffer);
    PyMem_Free(self->free);
    Py_XDECREF(self->runs);
    Py_XDECREF(self->aborted);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyMethodDef sharing_methods[] = {{"entry", (PyCFunction)make_entry, METH_NOARGS, NULL}, {0}};

static PyMemberDef sharing_members[] = {{"by_entry", T_BOOL, offsetof(Sharing, by_entry), 0, NULL}, {0}};

static PyTypeObject sharing_type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "hvd.core._hotrow.Sharing",
    .tp_basicsize = sizeof(Sharing),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .tp_doc = "See hotentry.py.",
    .tp_new = PyType_GenericNew,
    .tp_init = (initproc)sharing_init,
    .tp_traverse = (traverseproc)sharing_traverse,
    .tp_dealloc = (destructor)sharing_dealloc,
    .tp_methods = sharing_methods,
    .tp_members = sharing_members,
};

int hvd_add_entry_types(PyObject *module)
{
    return PyModule_AddType(module, &entry_type) < 0 ? -1 : PyModule_AddType(module, &sharing_type);
}
