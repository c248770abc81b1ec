/* Adding up the rows of own metrics, compiled: the same as sums.py, which says how it is known what has changed. */

#include "_own.h"
#include <string.h>

typedef struct {
    PyObject_HEAD
    Py_buffer buffer; /* of the whole block: keeps the mapping alive */
    PyObject *cells, *floats;
    int64_t *block, *sums; /* sums: the memory of `cells` */
    int64_t **seen;        /* of each row that was read, its marks then; by number of the row: head / row_cells */
    Py_ssize_t block_cells, row_cells;
    int64_t epoch;
} Sums;

static PyObject *view_of(PyObject *memory, const char *format)
{
    PyObject *view = PyMemoryView_FromObject(memory), *cast = NULL;
    if (view != NULL)
        cast = PyObject_CallMethod(view, "cast", "s", format);
    Py_XDECREF(view);
    return cast;
}

/* sums.py, zeros */
static PyObject *zeros(Py_ssize_t bytes)
{
    PyObject *module = PyImport_ImportModule("mmap");
    PyObject *memory = module == NULL ? NULL : PyObject_CallMethod(module, "mmap", "in", -1, bytes > 0 ? bytes : 8);
    Py_XDECREF(module);
    return memory;
}

static int init(Sums *self, PyObject *args, PyObject *kwargs)
{
    PyObject *raw;
    Py_ssize_t row_cells;
    static char *names[] = {"raw", "row_cells", NULL};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "On", names, &raw, &row_cells))
        return -1;
    if (self->buffer.obj != NULL) {
        PyErr_SetString(PyExc_RuntimeError, "sums are made once");
        return -1;
    }
    if (PyObject_GetBuffer(raw, &self->buffer, PyBUF_WRITABLE) < 0)
        return -1;
    self->block_cells = self->buffer.len / 8;
    if (row_cells < 0 || row_cells > self->block_cells || self->block_cells <= EPOCH ||
        (uintptr_t)self->buffer.buf % 8) {
        PyErr_SetString(PyExc_ValueError, "such a row is not within the block");
        return -1;
    }
    PyObject *memory = zeros(row_cells * 8);
    if (memory == NULL)
        return -1;
    self->cells = view_of(memory, "q");
    self->floats = view_of(memory, "d");
    Py_DECREF(memory);
    if (self->cells != NULL)
        self->sums = PyMemoryView_GET_BUFFER(self->cells)->buf; /* it stays there: who has a view keeps its size */
    self->seen = PyMem_Calloc(row_cells ? (size_t)(self->block_cells / row_cells) + 1 : 1, sizeof *self->seen);
    if (self->seen == NULL)
        PyErr_NoMemory();
    if (PyErr_Occurred())
        return -1;
    self->row_cells = row_cells;
    self->block = self->buffer.buf;
    return 0;
}

static void dealloc(Sums *self)
{
    for (Py_ssize_t i = 0; self->row_cells > 0 && i <= self->block_cells / self->row_cells; i++)
        PyMem_RawFree(self->seen[i]);
    PyMem_Free(self->seen);
    Py_XDECREF(self->cells);
    Py_XDECREF(self->floats);
    if (self->buffer.obj != NULL)
        PyBuffer_Release(&self->buffer);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

/* What one reading is about. */
typedef struct {
    Sums *sums;
    const uint8_t *kinds;
    int64_t *heads;
    Py_ssize_t rows, start, stop; /* pages from, to */
    char *pages;                  /* of each page from `start` on, whether it is read again */
    Py_ssize_t *series;           /* those that changed: their first cells */
    Py_ssize_t found, room;
} Reading;

static int64_t *seen_of(Sums *self, int64_t head)
{
    int64_t **seen = self->seen + head / self->row_cells;
    if (*seen == NULL) {
        Py_ssize_t pages = self->row_cells / PAGE_CELLS + 1;
        *seen = PyMem_RawMalloc((size_t)pages * 8);
        for (Py_ssize_t i = 0; *seen != NULL && i < pages; i++)
            (*seen)[i] = INT64_MIN;
    }
    return *seen;
}

/* Which pages are read again: where a mark has changed, or is so fresh that a store may have been on its way. */
static void find_pages(Reading *reading, int all, int64_t fresh)
{
    for (Py_ssize_t i = 0; i < reading->rows; i++) {
        const int64_t *marks = reading->sums->block + reading->heads[i];
        int64_t *seen = reading->sums->seen[reading->heads[i] / reading->sums->row_cells];
        for (Py_ssize_t page = reading->start; page < reading->stop; page++) {
            int64_t mark = __atomic_load_n(marks + page, __ATOMIC_ACQUIRE);
            if (all || mark != seen[page] || (mark >= fresh && mark > 0))
                reading->pages[page - reading->start] = 1;
            seen[page] = mark;
        }
    }
}

static inline int64_t mixed(int64_t hash, int64_t cell)
{
    uint64_t bits = ((uint64_t)hash ^ (uint64_t)cell) * 0x9E3779B97F4A7C15u;
    return (int64_t)(bits ^ (bits >> 29));
}

static void add_row(const int64_t *row, const uint8_t *kinds, int64_t *sums, long double *floats)
{
    for (Py_ssize_t i = 0; i < PAGE_CELLS; i++) {
        int64_t cell = load(row + i);
        switch (kinds[i] & ~FIRST) {
        case INT:
            if (__builtin_add_overflow(sums[i], cell, sums + i))
                sums[i] = INT64_MAX; /* no sum is shown as less than it was */
            break;
        case FLOAT:
            floats[i] += as_float(cell);
            break;
        case VALUE:
        case STAMP:
        case TIME:
            sums[i] = mixed(sums[i], cell);
        }
    }
}

static int take_series(Reading *reading, Py_ssize_t cell)
{
    while (cell > 0 && !(reading->kinds[cell] & FIRST))
        cell--;
    if (reading->found > 0 && reading->series[reading->found - 1] == cell)
        return 1;
    if (reading->found == reading->room) {
        Py_ssize_t room = reading->room * 2 + 64;
        Py_ssize_t *series = PyMem_RawRealloc(reading->series, (size_t)room * sizeof *series);
        if (series == NULL)
            return 0;
        reading->series = series;
        reading->room = room;
    }
    reading->series[reading->found++] = cell;
    return 1;
}

static int add_up_page(Reading *reading, Py_ssize_t page)
{
    int64_t sums[PAGE_CELLS] = {0};
    long double floats[PAGE_CELLS] = {0}; /* whose rounding no sum of float64 shows */
    Py_ssize_t first = page * PAGE_CELLS;
    const uint8_t *kinds = reading->kinds + first;
    for (Py_ssize_t i = 0; i < reading->rows; i++)
        add_row(reading->sums->block + reading->heads[i] + first, kinds, sums, floats);
    for (Py_ssize_t i = 0; i < PAGE_CELLS; i++) {
        if ((kinds[i] & ~FIRST) == FLOAT)
            sums[i] = as_bits((double)floats[i]);
        if (sums[i] == reading->sums->sums[first + i])
            continue;
        reading->sums->sums[first + i] = sums[i];
        if (!take_series(reading, first + i))
            return 0;
    }
    return 1;
}

static int add_up(Reading *reading)
{
    Sums *self = reading->sums;
    for (Py_ssize_t i = 0; i < reading->rows; i++)
        if (seen_of(self, reading->heads[i]) == NULL)
            return 0;
    int64_t epoch = __atomic_add_fetch(self->block + EPOCH, 1, __ATOMIC_SEQ_CST);
    find_pages(reading, epoch <= self->epoch, self->epoch - SLACK);
    self->epoch = epoch;
    for (Py_ssize_t page = reading->start; page < reading->stop; page++)
        if (reading->pages[page - reading->start] && !add_up_page(reading, page))
            return 0;
    return 1;
}

static int take_heads(Reading *reading, PyObject *heads)
{
    int64_t cells = reading->sums->block_cells - reading->sums->row_cells;
    for (Py_ssize_t i = 0; i < reading->rows; i++) {
        reading->heads[i] = PyLong_AsLongLong(PyList_GET_ITEM(heads, i));
        if (reading->heads[i] < 0 || reading->heads[i] > cells) {
            if (!PyErr_Occurred())
                PyErr_Format(PyExc_ValueError, "a row at cell %lld is not within the block",
                             (long long)reading->heads[i]);
            return 0;
        }
    }
    return 1;
}

static PyObject *series_of(const Reading *reading)
{
    PyObject *list = PyList_New(reading->found);
    for (Py_ssize_t i = 0; list != NULL && i < reading->found; i++) {
        PyObject *number = PyLong_FromSsize_t(reading->series[i]);
        if (number == NULL)
            Py_CLEAR(list);
        else
            PyList_SET_ITEM(list, i, number);
    }
    return list;
}

/* sums.py, Sums.read. Without the interpreter's lock: it holds nobody up who counts. */
static PyObject *read_sums(Sums *self, PyObject *args)
{
    PyObject *heads, *pages, *result = NULL;
    Py_buffer kinds;
    if (self->sums == NULL || self->block == NULL)
        return PyErr_Format(PyExc_RuntimeError, "the sums have no block: their __init__ did not run, or failed");
    if (!PyArg_ParseTuple(args, "O!O!y*", &PyList_Type, &heads, &PyRange_Type, &pages, &kinds))
        return NULL;
    Reading reading = {.sums = self, .kinds = kinds.buf, .rows = PyList_GET_SIZE(heads)};
    PyObject *start = PyObject_GetAttrString(pages, "start"), *stop = PyObject_GetAttrString(pages, "stop");
    if (start == NULL || stop == NULL)
        goto done;
    reading.start = PyLong_AsSsize_t(start);
    reading.stop = PyLong_AsSsize_t(stop);
    if (reading.stop < reading.start)
        reading.stop = reading.start;
    if (PyErr_Occurred() || self->row_cells < 1 || reading.start < 0 || reading.stop > self->row_cells / PAGE_CELLS ||
        kinds.len < reading.stop * PAGE_CELLS) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_ValueError, "these pages are not within the row");
        goto done;
    }
    reading.heads = PyMem_Calloc((size_t)reading.rows + 1, 8);
    reading.pages = PyMem_Calloc((size_t)(reading.stop - reading.start) + 1, 1);
    if (reading.heads == NULL || reading.pages == NULL) {
        PyErr_NoMemory();
        goto done;
    }
    if (!take_heads(&reading, heads))
        goto done;
    int is_read;
    Py_BEGIN_ALLOW_THREADS
    is_read = add_up(&reading);
    Py_END_ALLOW_THREADS
    result = is_read ? series_of(&reading) : PyErr_NoMemory();
done:
    PyMem_Free(reading.heads);
    PyMem_Free(reading.pages);
    PyMem_RawFree(reading.series);
    Py_XDECREF(start);
    Py_XDECREF(stop);
    PyBuffer_Release(&kinds);
    return result;
}

/* Of what is new at each reading nothing leads back to itself: the collector would look at it for longer than it took to
 * make. So it isn't told of it, as it drops tuples of texts and numbers by itself later. */
static PyObject *untracked(PyObject *object)
{
    if (object != NULL)
        PyObject_GC_UnTrack(object);
    return object;
}

/* An object of that class of tuples, without a call of Python's. Takes `value` over. */
static PyObject *sample_of(PyTypeObject *class, PyObject *labels, PyObject *value, PyObject *created,
                           PyObject *exemplars)
{
    PyObject *sample = value == NULL ? NULL : class->tp_alloc(class, 4);
    if (sample == NULL) {
        Py_XDECREF(value);
        return NULL;
    }
    PyTuple_SET_ITEM(sample, 0, Py_NewRef(labels));
    PyTuple_SET_ITEM(sample, 1, value);
    PyTuple_SET_ITEM(sample, 2, Py_NewRef(created));
    PyTuple_SET_ITEM(sample, 3, Py_NewRef(exemplars));
    return untracked(sample);
}

/* The value of a counter, or that of a class which has counts and sum. */
static PyObject *value_of(Sums *self, Py_ssize_t first, Py_ssize_t end, Py_ssize_t more, PyObject *class)
{
    double rest = as_float(self->sums[more]);
    if (class == Py_None)
        return rest != 0 ? PyFloat_FromDouble((double)self->sums[first] + rest) : PyLong_FromLongLong(self->sums[first]);
    PyObject *counts = PyTuple_New(end - first), *sum = PyFloat_FromDouble(rest);
    PyObject *value = counts == NULL || sum == NULL ? NULL : ((PyTypeObject *)class)->tp_alloc((PyTypeObject *)class, 2);
    for (Py_ssize_t i = first; value != NULL && i < end; i++) {
        PyObject *count = PyLong_FromLongLong(self->sums[i]);
        if (count == NULL)
            Py_CLEAR(value);
        else
            PyTuple_SET_ITEM(counts, i - first, count);
    }
    if (value == NULL) {
        Py_XDECREF(counts);
        Py_XDECREF(sum);
        return NULL;
    }
    PyTuple_SET_ITEM(value, 0, untracked(counts));
    PyTuple_SET_ITEM(value, 1, sum);
    return untracked(value);
}

static int is_tuples(PyObject *class)
{
    return PyType_Check(class) && PyType_IsSubtype((PyTypeObject *)class, &PyTuple_Type) &&
           ((PyTypeObject *)class)->tp_itemsize == sizeof(PyObject *);
}

static int renew_one(Sums *self, PyObject *plain, PyTypeObject *class, PyObject *exemplars)
{
    if (!PyTuple_Check(plain) || PyTuple_GET_SIZE(plain) != 8 || !PyList_Check(PyTuple_GET_ITEM(plain, 6)) ||
        (PyTuple_GET_ITEM(plain, 5) != Py_None && !is_tuples(PyTuple_GET_ITEM(plain, 5)))) {
        PyErr_SetString(PyExc_TypeError, "that is no Plain");
        return 0;
    }
    PyObject *samples = PyTuple_GET_ITEM(plain, 6);
    Py_ssize_t numbers[4]; /* first, end, more, place */
    for (int i = 0; i < 4; i++)
        numbers[i] = PyLong_AsSsize_t(PyTuple_GET_ITEM(plain, i < 3 ? 2 + i : 7));
    if (PyErr_Occurred())
        return 0;
    Py_ssize_t first = numbers[0], end = numbers[1], more = numbers[2], place = numbers[3];
    if (first < 0 || end <= first || end > self->row_cells || more < 0 || more >= self->row_cells || place < 0 ||
        place >= PyList_GET_SIZE(samples)) {
        PyErr_SetString(PyExc_IndexError, "such a series is not within the row");
        return 0;
    }
    PyObject *value = value_of(self, first, end, more, PyTuple_GET_ITEM(plain, 5));
    PyObject *sample =
        sample_of(class, PyTuple_GET_ITEM(plain, 0), value, PyTuple_GET_ITEM(plain, 1), exemplars);
    PyObject *only = sample == NULL ? NULL : untracked(PyTuple_Pack(1, sample));
    Py_XDECREF(sample);
    return only != NULL && PyList_SetItem(samples, place, only) == 0;
}

/* sums.py, Sums.renew */
static PyObject *renew(Sums *self, PyObject *args)
{
    PyObject *list, *exemplars;
    PyTypeObject *class;
    if (self->sums == NULL)
        return PyErr_Format(PyExc_RuntimeError, "the sums have no block: their __init__ did not run, or failed");
    if (!PyArg_ParseTuple(args, "O!O!O", &PyList_Type, &list, &PyType_Type, &class, &exemplars))
        return NULL;
    if (!is_tuples((PyObject *)class))
        return PyErr_Format(PyExc_TypeError, "%s is no class of tuples", class->tp_name);
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list); i++)
        if (!renew_one(self, PyList_GET_ITEM(list, i), class, exemplars))
            return NULL;
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"renew", (PyCFunction)renew, METH_VARARGS, NULL},
    {"read", (PyCFunction)read_sums, METH_VARARGS, NULL},
    {0},
};

static PyMemberDef members[] = {
    {"cells", T_OBJECT_EX, offsetof(Sums, cells), READONLY, NULL},
    {"floats", T_OBJECT_EX, offsetof(Sums, floats), READONLY, NULL},
    {0},
};

PyTypeObject hvd_sums_type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "hvd.core.own._own.Sums",
    .tp_basicsize = sizeof(Sums),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_doc = "See sums.py.",
    .tp_new = PyType_GenericNew,
    .tp_init = (initproc)init,
    .tp_dealloc = (destructor)dealloc,
    .tp_methods = methods,
    .tp_members = members,
};

/* The gauge's cells in the row of that pair; NULL where it doesn't count there, or with an exception set. */
static const int64_t *gauge_in(const Py_buffer *raw, const Py_buffer *rows, Py_ssize_t pair, Py_ssize_t cell)
{
    const int64_t *pairs = (const int64_t *)rows->buf + 2 * pair;
    int64_t last = raw->len / 8 - 2;
    if (cell < 0 || cell > last || pairs[0] < 0 || pairs[0] > last - cell) {
        PyErr_SetString(PyExc_IndexError, "such a gauge is not within the block");
        return NULL;
    }
    const int64_t *cells = (const int64_t *)raw->buf + pairs[0] + cell;
    int64_t stamp = load(cells + 1);
    return stamp == 0 || (pairs[1] != 0 && stamp != pairs[1]) ? NULL : cells;
}

static int append(PyObject *list, PyObject *item)
{
    int result = item == NULL ? -1 : PyList_Append(list, item);
    Py_XDECREF(item);
    return result == 0;
}

/* sums.py, gauge_values */
PyObject *hvd_gauge_values(PyObject *module, PyObject *args)
{
    Py_buffer raw, rows;
    Py_ssize_t cell;
    if (!PyArg_ParseTuple(args, "y*y*n", &raw, &rows, &cell))
        return NULL;
    PyObject *list = PyList_New(0);
    for (Py_ssize_t i = 0; list != NULL && i < rows.len / 16; i++) {
        const int64_t *cells = gauge_in(&raw, &rows, i, cell);
        if (PyErr_Occurred() || (cells != NULL && !append(list, PyFloat_FromDouble(as_float(load(cells))))))
            Py_CLEAR(list);
    }
    PyBuffer_Release(&raw);
    PyBuffer_Release(&rows);
    return list;
}

static PyObject *sample_like(PyObject *like, PyObject *pid, double number)
{
    PyObject *before = PyTuple_GET_ITEM(like, 0);
    Py_ssize_t count = PyTuple_GET_SIZE(before);
    PyObject *labels = PyTuple_New(count + 1), *value = PyFloat_FromDouble(number), *sample = NULL;
    if (labels != NULL && value != NULL) {
        for (Py_ssize_t i = 0; i < count; i++)
            PyTuple_SET_ITEM(labels, i, Py_NewRef(PyTuple_GET_ITEM(before, i)));
        PyTuple_SET_ITEM(labels, count, Py_NewRef(pid));
        sample = sample_of(Py_TYPE(like), untracked(labels), Py_NewRef(value), PyTuple_GET_ITEM(like, 2), PyTuple_GET_ITEM(like, 3));
    }
    Py_XDECREF(labels);
    Py_XDECREF(value);
    return sample;
}

/* sums.py, gauge_samples */
PyObject *hvd_gauge_samples(PyObject *module, PyObject *args)
{
    Py_buffer raw, rows;
    Py_ssize_t cell;
    PyObject *pids, *like, *result = NULL;
    if (!PyArg_ParseTuple(args, "y*y*nO!O", &raw, &rows, &cell, &PyList_Type, &pids, &like))
        return NULL;
    PyObject *list = PyList_New(0);
    if (!is_tuples((PyObject *)Py_TYPE(like)) || PyTuple_GET_SIZE(like) != 4 || !PyTuple_Check(PyTuple_GET_ITEM(like, 0)))
        PyErr_SetString(PyExc_TypeError, "that is no sample");
    for (Py_ssize_t i = 0; list != NULL && !PyErr_Occurred() && i < PyList_GET_SIZE(pids) && i < rows.len / 16; i++) {
        const int64_t *cells = gauge_in(&raw, &rows, i, cell);
        if (cells != NULL)
            append(list, sample_like(like, PyList_GET_ITEM(pids, i), as_float(load(cells))));
    }
    if (list != NULL && !PyErr_Occurred())
        result = PyList_AsTuple(list);
    Py_XDECREF(list);
    PyBuffer_Release(&raw);
    PyBuffer_Release(&rows);
    return result;
}

enum { TOO_MANY = 1000000, DIGITS = 6 }; /* from then on a number has another form */

static char *write_piece(char *to, PyObject *piece)
{
    Py_ssize_t size = PyUnicode_GET_LENGTH(piece);
    memcpy(to, PyUnicode_1BYTE_DATA(piece), (size_t)size);
    return to + size;
}

static char *write_count(char *to, int64_t count)
{
    char digits[DIGITS];
    int i = DIGITS;
    do
        digits[--i] = (char)('0' + count % 10);
    while ((count /= 10) > 0 && i > 0);
    memcpy(to, digits + i, (size_t)(DIGITS - i));
    to += DIGITS - i;
    *to++ = '.';
    *to++ = '0';
    return to;
}

/* How long the text may be; -1 where it is none that is so simple, or with an exception set. */
static Py_ssize_t room_for(PyObject *pieces, PyObject *counts)
{
    Py_ssize_t room = 0, buckets = PyTuple_GET_SIZE(counts);
    int64_t total = 0;
    if (PyTuple_GET_SIZE(pieces) != buckets + 2)
        return -1;
    for (Py_ssize_t i = 0; i < buckets + 2; i++) {
        PyObject *piece = PyTuple_GET_ITEM(pieces, i);
        if (!PyUnicode_Check(piece) || !PyUnicode_IS_ASCII(piece))
            return -1;
        room += PyUnicode_GET_LENGTH(piece) + DIGITS + 2;
    }
    for (Py_ssize_t i = 0; i < buckets; i++) {
        int overflow;
        int64_t count = PyLong_AsLongLongAndOverflow(PyTuple_GET_ITEM(counts, i), &overflow);
        if (overflow || count < 0 || count >= TOO_MANY || (total += count) >= TOO_MANY)
            return -1;
    }
    return room;
}

/* sums.py, counts_text */
PyObject *hvd_counts_text(PyObject *module, PyObject *args)
{
    PyObject *pieces, *counts;
    if (!PyArg_ParseTuple(args, "O!O!", &PyTuple_Type, &pieces, &PyTuple_Type, &counts))
        return NULL;
    Py_ssize_t room = room_for(pieces, counts), buckets = PyTuple_GET_SIZE(counts);
    if (room < 0)
        return PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
    char *text = PyMem_Malloc((size_t)room), *end = text;
    if (text == NULL)
        return PyErr_NoMemory();
    int64_t total = 0;
    for (Py_ssize_t i = 0; i <= buckets; i++) { /* the last one is how many there are in all */
        total += i < buckets ? PyLong_AsLongLong(PyTuple_GET_ITEM(counts, i)) : 0;
        end = write_count(write_piece(end, PyTuple_GET_ITEM(pieces, i)), total);
    }
    end = write_piece(end, PyTuple_GET_ITEM(pieces, buckets + 1));
    PyObject *result = PyUnicode_DecodeASCII(text, end - text, NULL);
    PyMem_Free(text);
    return result;
}
