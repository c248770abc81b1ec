/* What _counting.c and _exchange.c know of each other: the two types of wsgi.py. */

#include "../core/_module.h"

/* Counted(here, app, rules, is_outermost): the WSGI application. Rules, of wsgi.py, are a tuple of these. */
enum { METHODS, OTHER, UNMATCHED, COUNTING, BROKE_OFF, IS_PART, IS_EXCLUDED, ROUTE_OF, RULES };
#define RULE(counted, which) PyTuple_GET_ITEM((counted)->rules, which)

typedef struct {
    PyObject_HEAD
    vectorcallfunc vectorcall;
    PyObject *here, *app, *rules;
    char is_outermost;
} Counted;

/* Exchange, which only a Counted makes. Route, pieces, body and write are NULL until there are any; all that it drops
 * at its end, the environ too, is NULL then.
 */
typedef struct {
    PyObject_HEAD
    vectorcallfunc vectorcall; /* the app's start_response */
    Counted *counted;
    PyObject *row, *environ, *method, *route, *status, *headers, *start_response, *write, *body, *pieces;
    char ends_itself, is_counted;
} Exchange;

extern PyTypeObject hvd_exchange_type;

/* Names and keys, interned: made at the first call of hvd_exchange_ready, and there for good. */
enum {
    LOCAL, ROW, METHOD, PATH, BEGIN, RESPOND, PASS_ON, FINISH, IN_ROW, CLOSE, STATUS, INTERRUPTED, SWITCHING, EXCHANGE,
    MEASURE, SETTINGS, EXCLUDE, FILE_WRAPPER, EXTRAS, SIZES, QUEUED, REQUEST_START, LENGTH, HEADERS, TEXTS
};
extern PyObject *hvd_text[TEXTS];

/* An exchange, whose request the row has begun; wsgi.py says what the rest mean. NULL or -1 with an exception set. */
Exchange *hvd_exchange_new(Counted *counted, PyObject *row, PyObject *environ, PyObject *start_response);
int hvd_exchange_count(Exchange *self, PyObject *body);
PyObject *hvd_exchange_finish(Exchange *self, PyObject *unused);
PyObject *hvd_exchange_finish_after(Exchange *self, PyObject *result);
void *hvd_exchange_failed(Exchange *self, int streaming);

int hvd_exchange_ready(void);

/* hvd/metrics/table.py, error_of: a new reference. */
PyObject *hvd_error_of(PyObject *status);

/* asgi.py. */
extern PyTypeObject hvd_hot_type;
int hvd_hot_ready(void);

/* extras.py. `length`, `headers` and `body` may be NULL where there are none. */
PyObject *hvd_content_length(PyObject *module, PyObject *headers);
PyObject *hvd_measure_call(PyObject *module, PyObject *const *args, Py_ssize_t nargs);
int hvd_measure(PyObject *row, PyObject *runs, PyObject *method, PyObject *route, PyObject *length, PyObject *headers,
                PyObject *body);
