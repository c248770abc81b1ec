/* What _hotrow.c, _hotentry.c and _sums.c know of each other. */

#include "_module.h"
#include <stdint.h>
#include <time.h>

/* layout.py and amounts.py; hot.py refuses the module where they differ. */
enum { STARTED = 0, FINISHED = 1, ABORTED = 2, ERRORS = 3, BEGIN = 4, BUSY = 5, SERVER_ERRORS = 7 };
enum { TEXT = 8, TEXT_BYTES = 64, HEAD_CELLS = 16 };
enum { SHARED = 13, ENTRIES = 25, ENTRY_CELLS = 10, ENTRY_BEGIN = 0, ENTRY_THREAD = 1, ENTRY_TEXT = 2, MAX_BOUNDS = 512 };
enum { SERVER_ERROR = 2 }; /* limits.py */
enum { POWERS = 40, AMOUNT_CELLS = POWERS + 3 };

typedef struct {
    PyObject_HEAD
    Py_buffer buffer;      /* of the whole block: keeps the mapping alive; unused in an entry, whose Sharing does */
    int64_t *cells;        /* the row's head */
    Py_ssize_t count;      /* cells of the row */
    PyObject *runs;        /* labels of a response -> first cell of the run */
    PyObject *interrupted; /* for the worker: what an exception took the thread out of */
    PyObject *exchange;    /* for the worker: what the thread serves */
    Py_ssize_t base;       /* first cell of the run of the request in progress; 0 until it is answered */
    int64_t began;         /* ns; of an entry 0 while it is idle */
} HotRow;

extern PyTypeObject hvd_row_type;
extern int64_t hvd_bounds[MAX_BOUNDS];
extern Py_ssize_t hvd_bound_count;

static inline void put(int64_t *cell, int64_t value)
{
    __atomic_store_n(cell, value, __ATOMIC_RELEASE);
}

static inline void add(int64_t *cell, int64_t by)
{
    put(cell, (int64_t)((uint64_t)*cell + (uint64_t)by)); /* a damaged cell may overflow */
}

/* The same of a cell that threads share. The interpreter's lock, where there is one, keeps them apart. */
static inline void add_shared(int64_t *cell, int64_t by)
{
#ifdef Py_GIL_DISABLED
    __atomic_fetch_add(cell, by, __ATOMIC_RELEASE);
#else
    add(cell, by);
#endif
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
    Py_ssize_t low = 0, high = hvd_bound_count;
    while (low < high) {
        Py_ssize_t middle = (low + high) / 2;
        if (hvd_bounds[middle] < ns)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

int hvd_text_of(char *text, PyObject *const *words, Py_ssize_t count);
int hvd_check_arguments(const char *name, Py_ssize_t count, Py_ssize_t wanted);
int hvd_row_traverse(HotRow *self, visitproc visit, void *arg);
int hvd_row_clear(HotRow *self);
int hvd_add_entry_types(PyObject *module);

PyObject *hvd_sum_rows(PyObject *module, PyObject *args);
PyObject *hvd_cumulate(PyObject *module, PyObject *args);
