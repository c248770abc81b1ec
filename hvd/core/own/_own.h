/* What the files of the module know of each other. */

#include "../_module.h"
#include <math.h>
#include <stdint.h>

/* layout.py, definition.py, logarithmic.py and sums.py; hot.py refuses the module where they differ. */
enum { EPOCH = 64, PAGE_CELLS = 512, INT = 0, FLOAT = 1, VALUE = 2, STAMP = 3, TIME = 4 };
enum { SLACK = 4, FIRST = 0x80 };
enum { LOWEST = -30, HIGHEST = 34, PER_OCTAVE = 8, LOGARITHMIC_CELLS = 2 + (HIGHEST - LOWEST) * PER_OCTAVE };

#ifdef Py_GIL_DISABLED
#define LOCKED(object) Py_BEGIN_CRITICAL_SECTION(object);
#define UNLOCKED() Py_END_CRITICAL_SECTION()
#else /* the interpreter's lock keeps the threads apart */
#define LOCKED(object) {
#define UNLOCKED() }
#endif

/* See places.py, Target. */
typedef struct {
    PyObject_HEAD
    Py_buffer buffer; /* of the whole block: keeps the mapping alive */
    int64_t *row;     /* the row's first cell */
    int64_t *block;   /* the block's */
    Py_ssize_t count; /* cells of the row */
    int64_t tenancy;
    PyObject *cells, *floats, *epoch; /* for Python */
} Target;

/* See places.py, Place. Whoever reads or changes what follows `children` is between LOCKED and UNLOCKED. */
typedef struct {
    PyObject_HEAD
    PyObject *definition, *kinds, *names, *kind; /* kinds: what each cell is; names: of the labels */
    PyObject *children;
    PyObject *before_count; /* called before each count; NULL: nothing is */
    Target *target; /* NULL as long as the place counts in memory of its own */
    int64_t *cells; /* of the series; NULL until __init__ has run */
    int64_t *found; /* as the cells were when the place came to them */
    int64_t *own;   /* memory of its own: `found`, and as long as there is no target the cells, behind it */
    Py_ssize_t offset, count;
    char is_ready, waits; /* waits: whether there is `before_count` */
} Place;

extern PyTypeObject hvd_place_type, hvd_target_type, hvd_counter_type, hvd_gauge_type, hvd_summary_type,
    hvd_histogram_type, hvd_cell_type, hvd_sums_type;
extern double hvd_thresholds[PER_OCTAVE];

static inline int64_t load(const int64_t *cell)
{
    return __atomic_load_n(cell, __ATOMIC_RELAXED);
}

static inline void put(int64_t *cell, int64_t value)
{
    __atomic_store_n(cell, value, __ATOMIC_RELEASE);
}

static inline double as_float(int64_t bits)
{
    double value;
    __builtin_memcpy(&value, &bits, sizeof value);
    return value;
}

static inline int64_t as_bits(double value)
{
    int64_t bits;
    __builtin_memcpy(&bits, &value, sizeof bits);
    return bits;
}

/* Replace a cell's value, where it still is what it was. Other places may have the same cells, so without the
 * interpreter's lock another thread can come between. */
static inline int replace(int64_t *cell, int64_t before, int64_t now)
{
#ifdef Py_GIL_DISABLED
    return __atomic_compare_exchange_n(cell, &before, now, 0, __ATOMIC_RELEASE, __ATOMIC_RELAXED);
#else
    put(cell, now);
    return 1;
#endif
}

/* places.py, Place._mark */
static inline void mark(Place *self, Py_ssize_t index)
{
    if (self->target != NULL) {
        int64_t epoch = load(self->target->block + EPOCH);
        int64_t *page = self->target->row + (self->offset + index) / PAGE_CELLS;
        if (load(page) != epoch)
            put(page, epoch);
    }
}

/* Add to an integer cell. 0, and nothing is changed, where it can't hold that. */
static inline int add_int(Place *self, Py_ssize_t index, int64_t amount)
{
    int64_t before, now;
    do {
        before = load(self->cells + index);
        if (__builtin_add_overflow(before, amount, &now))
            return 0;
    } while (!replace(self->cells + index, before, now));
    mark(self, index);
    return 1;
}

/* Add to a float cell; 0, and nothing is changed, where it would be no number any more. */
static inline int add_float(Place *self, Py_ssize_t index, double amount)
{
    int64_t before;
    double now;
    do {
        before = load(self->cells + index);
        now = as_float(before) + amount;
        if (isnan(now))
            return 0;
    } while (!replace(self->cells + index, before, as_bits(now)));
    mark(self, index);
    return 1;
}

/* The first line of `doc` is what inspect.signature gives. */
#define KEYWORDS(name, function, doc)                                                                                  \
    {name, (PyCFunction)(void (*)(void))function, METH_FASTCALL | METH_KEYWORDS, name doc}


/* A kind of places. */
#define PLACE_TYPE(variable, name, structure, init, dealloc, methods, properties)                                      \
    PyTypeObject variable = {                                                                                          \
        PyVarObject_HEAD_INIT(NULL, 0)                                                                                 \
        .tp_name = "hvd.core.own._own." name,                                                                          \
        .tp_basicsize = sizeof(structure),                                                                             \
        .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,                                     \
        .tp_doc = "See places.py.",                                                                                    \
        .tp_new = PyType_GenericNew,                                                                                   \
        .tp_init = (initproc)init,                                                                                     \
        .tp_traverse = (traverseproc)hvd_place_traverse,                                                               \
        .tp_clear = (inquiry)hvd_place_clear,                                                                          \
        .tp_dealloc = (destructor)dealloc,                                                                             \
        .tp_methods = methods,                                                                                         \
        .tp_getset = properties,                                                                                       \
    };

int hvd_check_place(Place *self);
int hvd_call_before(Place *self);
int hvd_amount_of(PyObject *object, double *amount);
int hvd_add(Place *self, Py_ssize_t index, PyObject *amount);
int hvd_parse(const char *name, const char *const *names, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames,
              PyObject **values, Py_ssize_t most);
PyObject *hvd_labels(Place *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames);
int hvd_place_init(Place *self, PyObject *args, PyObject *kwargs);
int hvd_place_traverse(Place *self, visitproc visit, void *arg);
int hvd_place_clear(Place *self);
void hvd_place_free(Place *self);
PyObject *hvd_place_forget(Place *self, PyObject *unused);
PyObject *hvd_place_move(Place *self, PyObject *const *args, Py_ssize_t nargs, void (*carry)(Place *));

PyObject *hvd_gauge_values(PyObject *module, PyObject *args);
PyObject *hvd_gauge_samples(PyObject *module, PyObject *args);
PyObject *hvd_counts_text(PyObject *module, PyObject *args);

static inline int waits(Place *self)
{
    return __atomic_load_n(&self->waits, __ATOMIC_RELAXED);
}

/* 0, with an exception set, for a place that counts nothing: one that is not made, or the parent of others. */
static inline int is_countable(Place *self)
{
    return (self->cells != NULL && self->is_ready && !waits(self)) || hvd_check_place(self);
}
