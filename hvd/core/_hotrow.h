/* What _hotrow.c and _sums.c know of each other. */

#include "_module.h"
#include <stdint.h>

/* layout.py; hot.py refuses the module where they differ. */
enum { STARTED = 0, FINISHED = 1, ERRORS = 3, BEGIN = 4, TEXT = 8, TEXT_BYTES = 64, HEAD_CELLS = 16, MAX_BOUNDS = 512 };

PyObject *hvd_sum_rows(PyObject *module, PyObject *args);
PyObject *hvd_cumulate(PyObject *module, PyObject *args);
