/* HotExchange of asgi.py, compiled: see there. */

#include "_exchange.h"
#include <string.h>

/* HotExchange(rules, scope, receive, send): the rules, of asgi.py, are a tuple of these. */
enum { A_METHODS, A_OTHER, A_COUNTING, A_STATUSES, A_ROUTE_OF, A_STARTS_WITH_BODY, A_SERVER, A_RULES };
#define A_RULE(self, which) PyTuple_GET_ITEM((self)->rules, which)

/* Names and keys, interned: made once, and there for good. */
enum {
    A_TYPE, A_START, A_BODY, A_PATHSEND, A_ZEROCOPY, A_MORE, A_PIECE, A_METHOD, A_GET, A_PATH, A_ROWS, A_ENTRY,
    A_BECOME, A_SSE, A_SEND_LAST, A_TEXTS
};
static PyObject *text[A_TEXTS];

/* What is NULL here is None in Python, and None may be set from there. Row, connection and scope are dropped once they
 * are done with.
 */
typedef struct {
    PyObject_HEAD
    PyObject *rules, *scope, *receive, *send, *row, *connection, *method, *route, *status, *headers, *length;
    char has_left, is_counted, has_pieces;
} Hot;

static int is_set(PyObject *field)
{
    return field != NULL && field != Py_None;
}

static int is_name(PyObject *name, const char *expected, Py_ssize_t length)
{
    if (!PyBytes_Check(name) || PyBytes_GET_SIZE(name) != length)
        return 0;
    const char *given = PyBytes_AS_STRING(name);
    for (Py_ssize_t i = 0; i < length; i++)
        if ((given[i] >= 'A' && given[i] <= 'Z' ? given[i] + 32 : given[i]) != expected[i])
            return 0;
    return 1;
}
#define IS_NAME(name, expected) is_name(name, expected, sizeof(expected) - 1)

/* A header's value, borrowed; NULL where there is none. Only of a list of pairs: anything else is the server's to read. */
static PyObject *header(PyObject *headers, const char *expected, Py_ssize_t length)
{
    if (headers == NULL || !(PyList_Check(headers) || PyTuple_Check(headers)))
        return NULL;
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(headers); i++) {
        PyObject *pair = PySequence_Fast_GET_ITEM(headers, i);
        if ((PyTuple_Check(pair) || PyList_Check(pair)) && PySequence_Fast_GET_SIZE(pair) == 2 &&
            is_name(PySequence_Fast_GET_ITEM(pair, 0), expected, length))
            return PySequence_Fast_GET_ITEM(pair, 1);
    }
    return NULL;
}
#define HEADER(headers, expected) header(headers, expected, sizeof(expected) - 1)

static int is_event_stream(PyObject *headers)
{
    static const char stream[] = "text/event-stream";
    PyObject *value = HEADER(headers, "content-type");
    return value != NULL && PyBytes_Check(value) && PyBytes_GET_SIZE(value) >= (Py_ssize_t)sizeof(stream) - 1 &&
           memcmp(PyBytes_AS_STRING(value), stream, sizeof(stream) - 1) == 0;
}

/* The row, or another one in which what is kept beside counts: Extras._row. A new reference. */
static PyObject *row_of_extras(Hot *self, PyObject *extras)
{
    PyObject *row = NULL, *local = PyObject_GetAttr(extras, hvd_text[LOCAL]);
    if (local != NULL)
        row = local == Py_None ? Py_NewRef(self->row) : PyObject_GetAttr(local, hvd_text[ROW]);
    Py_XDECREF(local);
    return row;
}

static int measure(Hot *self, PyObject *body)
{
    PyObject *extras = PyObject_GetAttr(A_RULE(self, A_COUNTING), hvd_text[EXTRAS]);
    PyObject *sizes = extras == NULL ? NULL : PyObject_GetAttr(extras, hvd_text[SIZES]), *row = NULL;
    int result = -1;
    if (sizes == Py_None)
        result = 0;
    else if (sizes != NULL && (row = row_of_extras(self, extras)) != NULL)
        result = hvd_measure(row, sizes, self->method, self->route, self->length, self->headers, body);
    Py_XDECREF(row);
    Py_XDECREF(sizes);
    Py_XDECREF(extras);
    return result;
}

static int find_route(Hot *self)
{
    if (is_set(self->route))
        return 0;
    PyObject *route = PyObject_CallOneArg(A_RULE(self, A_ROUTE_OF), self->scope);
    if (route == NULL)
        return -1;
    if (is_set(self->route)) /* told meanwhile */
        Py_DECREF(route);
    else
        Py_XSETREF(self->route, route);
    return 0;
}

static int count(Hot *self, PyObject *body)
{
    if (!is_set(self->row) || !is_set(self->scope) || !is_set(self->status)) {
        PyErr_SetString(PyExc_RuntimeError, "the request is over, or has no status");
        return -1;
    }
    if (find_route(self) < 0)
        return -1;
    PyObject *labels = PyTuple_Pack(3, self->method, self->route, self->status);
    if (labels == NULL)
        return -1;
    PyObject *error = hvd_error_of(self->status);
    PyObject *arguments[] = {self->row, labels, error};
    PyObject *none = error == NULL ? NULL : PyObject_VectorcallMethod(hvd_text[RESPOND], arguments, 3, NULL);
    Py_XDECREF(error);
    Py_DECREF(labels);
    if (none == NULL)
        return -1;
    Py_DECREF(none);
    self->is_counted = 1;
    Py_CLEAR(self->scope); /* which has this exchange */
    return measure(self, body);
}

/* Call a method of what the field has, once. */
static int end_field(PyObject **field, PyObject *method)
{
    PyObject *object = *field;
    *field = NULL;
    if (!is_set(object)) {
        Py_XDECREF(object);
        return 0;
    }
    PyObject *none = PyObject_CallMethodNoArgs(object, method);
    Py_DECREF(object);
    Py_XDECREF(none);
    return none == NULL ? -1 : 0;
}

static int finish(Hot *self)
{
    return end_field(&self->row, hvd_text[FINISH]) < 0 ? -1 : end_field(&self->connection, hvd_text[CLOSE]);
}

static int start(Hot *self, PyObject *message)
{
    if (is_set(self->status) || self->has_left)
        return 0;
    PyObject *status = PyDict_GetItemWithError(message, hvd_text[STATUS]), *label = NULL;
    if (status != NULL)
        label = PyDict_GetItemWithError(A_RULE(self, A_STATUSES), status);
    if (label == NULL)
        PyErr_Clear(); /* no number: the server will say so */
    Py_XSETREF(self->status, Py_NewRef(label == NULL ? A_RULE(self, A_OTHER) : label));
    Py_XSETREF(self->headers, Py_XNewRef(PyDict_GetItemWithError(message, hvd_text[HEADERS])));
    int is_stream = is_event_stream(self->headers);
    if ((is_stream || A_RULE(self, A_STARTS_WITH_BODY) != Py_True) && count(self, NULL) < 0)
        return -1;
    if (!is_stream)
        return 0;
    PyObject *arguments[] = {(PyObject *)self, text[A_SSE]};
    PyObject *none = PyObject_VectorcallMethod(text[A_BECOME], arguments, 2, NULL);
    Py_XDECREF(none);
    return none == NULL ? -1 : 0;
}

/* A piece of the body -> whether it is the last of several, which `_send_last` sends; -1 with an exception set. */
static int pass_piece(Hot *self, PyObject *message)
{
    PyObject *more = PyDict_GetItemWithError(message, text[A_MORE]);
    PyObject *body = PyDict_GetItemWithError(message, text[A_PIECE]);
    int has_more = more == NULL ? 0 : PyObject_IsTrue(more), has_body = body == NULL ? 0 : PyObject_IsTrue(body);
    if (has_more < 0 || has_body < 0)
        return -1;
    if (!self->is_counted && (has_body || !has_more) && count(self, has_more || self->has_pieces ? NULL : body) < 0)
        return -1;
    if (has_more) {
        self->has_pieces = 1;
        return 0;
    }
    return self->has_pieces ? 1 : finish(self);
}

static int is_type(PyObject *type, int which)
{
    return PyUnicode_GET_LENGTH(type) == PyUnicode_GET_LENGTH(text[which]) && PyUnicode_Compare(type, text[which]) == 0;
}

static PyObject *hot_send(Hot *self, PyObject *message)
{
    PyObject *type = PyDict_Check(message) ? PyDict_GetItemWithError(message, text[A_TYPE]) : NULL;
    int is_last = 0;
    if (type != NULL && PyUnicode_Check(type)) {
        if (is_type(type, A_START))
            is_last = start(self, message);
        else if (is_set(self->status) &&
                 (is_type(type, A_BODY) || is_type(type, A_PATHSEND) || is_type(type, A_ZEROCOPY)))
            is_last = pass_piece(self, message);
    }
    if (is_last < 0)
        return NULL;
    if (is_last) {
        PyObject *arguments[] = {(PyObject *)self, message};
        return PyObject_VectorcallMethod(text[A_SEND_LAST], arguments, 2, NULL);
    }
    return PyObject_CallOneArg(self->send, message);
}

static PyObject *hot_count(Hot *self, PyObject *unused)
{
    if (count(self, NULL) < 0)
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *hot_finish(Hot *self, PyObject *unused)
{
    if (finish(self) < 0)
        return NULL;
    Py_RETURN_NONE;
}

/* The path as a row takes it, where each character is a byte; a new reference. */
static PyObject *bytes_of_path(PyObject *path)
{
    if (!PyUnicode_Check(path) || PyUnicode_IS_ASCII(path))
        return Py_NewRef(path);
    PyObject *bytes = PyUnicode_AsEncodedString(path, "utf-8", "replace");
    if (bytes == NULL)
        return NULL;
    PyObject *shown = PyUnicode_DecodeLatin1(PyBytes_AS_STRING(bytes), PyBytes_GET_SIZE(bytes), NULL);
    Py_DECREF(bytes);
    return shown;
}

static int begin(Hot *self, PyObject *method)
{
    PyObject *rows = PyObject_GetAttr(A_RULE(self, A_COUNTING), text[A_ROWS]), *path = NULL, *none = NULL;
    if (rows != NULL)
        self->row = PyObject_CallMethodNoArgs(rows, text[A_ENTRY]);
    Py_XDECREF(rows);
    if (self->row == NULL || (path = PyObject_GetItem(self->scope, text[A_PATH])) == NULL)
        return -1;
    Py_SETREF(path, bytes_of_path(path));
    if (path != NULL) {
        PyObject *arguments[] = {self->row, method, path};
        none = PyObject_VectorcallMethod(hvd_text[BEGIN], arguments, 3, NULL);
    }
    Py_XDECREF(path);
    Py_XDECREF(none);
    return none == NULL ? -1 : 0;
}

/* The request's Content-Length, and since when it has waited. */
static int read_headers(Hot *self)
{
    PyObject *headers = PyObject_GetItem(self->scope, hvd_text[HEADERS]), *none = Py_None;
    if (headers == NULL) {
        PyErr_Clear();
        return 0;
    }
    self->length = Py_XNewRef(HEADER(headers, "content-length"));
    PyObject *since = HEADER(headers, "x-request-start");
    if (since != NULL) {
        PyObject *extras = PyObject_GetAttr(A_RULE(self, A_COUNTING), hvd_text[EXTRAS]);
        PyObject *arguments[] = {extras, self->row, since};
        none = extras == NULL ? NULL : PyObject_VectorcallMethod(hvd_text[QUEUED], arguments, 3, NULL);
        Py_XDECREF(extras);
        Py_XDECREF(none);
    }
    Py_DECREF(headers);
    return none == NULL ? -1 : 0;
}

static int hot_init(Hot *self, PyObject *args, PyObject *kwargs)
{
    PyObject *rules, *scope, *receive, *send;
    if ((kwargs != NULL && PyDict_GET_SIZE(kwargs)) || self->rules != NULL) {
        PyErr_SetString(PyExc_TypeError, "HotExchange takes no keywords, and is made once");
        return -1;
    }
    if (!PyArg_ParseTuple(args, "O!OOO", &PyTuple_Type, &rules, &scope, &receive, &send))
        return -1;
    if (PyTuple_GET_SIZE(rules) != A_RULES || !PyFrozenSet_Check(PyTuple_GET_ITEM(rules, A_METHODS)) ||
        !PyDict_Check(PyTuple_GET_ITEM(rules, A_STATUSES))) {
        PyErr_Format(PyExc_TypeError, "HotExchange takes %d rules", A_RULES);
        return -1;
    }
    self->rules = Py_NewRef(rules);
    self->scope = Py_NewRef(scope);
    self->receive = Py_NewRef(receive);
    self->send = Py_NewRef(send);
    PyObject *method = PyObject_GetItem(scope, text[A_METHOD]);
    if (method == NULL) { /* a WebSocket's is always that, and not in its scope */
        PyErr_Clear();
        method = Py_NewRef(text[A_GET]);
    }
    int is_known = PySet_Contains(A_RULE(self, A_METHODS), method);
    self->method = Py_NewRef(is_known > 0 ? method : A_RULE(self, A_OTHER));
    int result = is_known < 0 || begin(self, method) < 0 ? -1 : read_headers(self);
    Py_DECREF(method);
    return result;
}

static int hot_clear(Hot *self)
{
    Py_CLEAR(self->scope);
    Py_CLEAR(self->receive);
    Py_CLEAR(self->row);
    Py_CLEAR(self->connection);
    Py_CLEAR(self->headers);
    return 0;
}

static int hot_traverse(Hot *self, visitproc visit, void *arg)
{
    Py_VISIT(self->rules);
    Py_VISIT(self->scope);
    Py_VISIT(self->receive);
    Py_VISIT(self->send);
    Py_VISIT(self->row);
    Py_VISIT(self->connection);
    Py_VISIT(self->method);
    Py_VISIT(self->route);
    Py_VISIT(self->status);
    Py_VISIT(self->headers);
    Py_VISIT(self->length);
    return 0;
}

static void hot_dealloc(Hot *self)
{
    PyObject_GC_UnTrack(self);
    hot_clear(self);
    Py_XDECREF(self->rules);
    Py_XDECREF(self->send);
    Py_XDECREF(self->method);
    Py_XDECREF(self->route);
    Py_XDECREF(self->status);
    Py_XDECREF(self->length);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyMethodDef hot_methods[] = {
    {"send", (PyCFunction)hot_send, METH_O, NULL},
    {"count", (PyCFunction)hot_count, METH_NOARGS, NULL},
    {"finish", (PyCFunction)hot_finish, METH_NOARGS, NULL},
    {0},
};

static PyMemberDef hot_members[] = {
    {"rules", T_OBJECT, offsetof(Hot, rules), READONLY, NULL},
    {"scope", T_OBJECT, offsetof(Hot, scope), 0, NULL},
    {"server_receive", T_OBJECT, offsetof(Hot, receive), READONLY, NULL},
    {"server_send", T_OBJECT, offsetof(Hot, send), READONLY, NULL},
    {"row", T_OBJECT, offsetof(Hot, row), 0, NULL},
    {"connection", T_OBJECT, offsetof(Hot, connection), 0, NULL},
    {"method", T_OBJECT, offsetof(Hot, method), READONLY, NULL},
    {"route", T_OBJECT, offsetof(Hot, route), 0, NULL},
    {"status", T_OBJECT, offsetof(Hot, status), 0, NULL},
    {"has_left", T_BOOL, offsetof(Hot, has_left), 0, NULL},
    {"is_counted", T_BOOL, offsetof(Hot, is_counted), READONLY, NULL},
    {0},
};

PyTypeObject hvd_hot_type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "hvd.instrument._counting.HotExchange",
    .tp_basicsize = sizeof(Hot),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE,
    .tp_doc = "See asgi.py.",
    .tp_new = PyType_GenericNew,
    .tp_init = (initproc)hot_init,
    .tp_traverse = (traverseproc)hot_traverse,
    .tp_clear = (inquiry)hot_clear,
    .tp_dealloc = (destructor)hot_dealloc,
    .tp_methods = hot_methods,
    .tp_members = hot_members,
};

int hvd_hot_ready(void)
{
    static const char *const texts[A_TEXTS] = {
        [A_TYPE] = "type",
        [A_START] = "http.response.start",
        [A_BODY] = "http.response.body",
        [A_PATHSEND] = "http.response.pathsend",
        [A_ZEROCOPY] = "http.response.zerocopysend",
        [A_MORE] = "more_body",
        [A_PIECE] = "body",
        [A_METHOD] = "method",
        [A_GET] = "GET",
        [A_PATH] = "path",
        [A_ROWS] = "rows",
        [A_ENTRY] = "entry",
        [A_BECOME] = "become_connection",
        [A_SSE] = "sse",
        [A_SEND_LAST] = "send_last",
    };
    for (int i = 0; i < A_TEXTS; i++)
        if (text[i] == NULL && (text[i] = PyUnicode_InternFromString(texts[i])) == NULL)
            return -1;
    return PyType_Ready(&hvd_hot_type);
}
