/* Exchange of wsgi.py, compiled: see there, and _counting.c. */

#include "_exchange.h"

PyObject *hvd_text[TEXTS];

/* The label of the status that start_response was called with, a new reference. */
static PyObject *label_of(Exchange *self, PyObject *status)
{
    if (status == NULL || !PyUnicode_Check(status) || PyUnicode_GET_LENGTH(status) < 3)
        return Py_NewRef(RULE(self->counted, OTHER));
    for (Py_ssize_t i = 0; i < 3; i++) {
        Py_UCS4 digit = PyUnicode_READ_CHAR(status, i);
        if (digit < '0' || digit > '9')
            return Py_NewRef(RULE(self->counted, OTHER));
    }
    return PyUnicode_Substring(status, 0, 3);
}

/* An argument by its position or name, borrowed; NULL if there is none. */
static PyObject *argument(PyObject *const *args, Py_ssize_t count, PyObject *names, Py_ssize_t position, PyObject *name)
{
    if (count > position)
        return args[position];
    for (Py_ssize_t i = 0; names != NULL && i < PyTuple_GET_SIZE(names); i++)
        if (PyUnicode_Compare(PyTuple_GET_ITEM(names, i), name) == 0)
            return args[count + i];
    return NULL;
}

/* What somebody has told, or what route_of finds, once; borrowed. NULL with an exception set. */
static PyObject *route_of(Exchange *self)
{
    if (self->route != NULL)
        return self->route;
    PyObject *route = Py_NewRef(Py_None), *environ = Py_XNewRef(self->environ);
    if (environ != NULL)
        Py_SETREF(route, PyObject_CallOneArg(RULE(self->counted, ROUTE_OF), environ));
    Py_XDECREF(environ);
    if (route == NULL)
        return NULL;
    if (route == Py_None)
        Py_SETREF(route, Py_NewRef(RULE(self->counted, UNMATCHED)));
    Py_XSETREF(self->route, route);
    return route;
}

/* The label of the request's method, borrowed. NULL with an exception set. */
static PyObject *method_of(Exchange *self)
{
    int known = PySet_Contains(RULE(self->counted, METHODS), self->method);
    return known < 0 ? NULL : known ? self->method : RULE(self->counted, OTHER);
}

/* Call one of the row's methods with the labels, and whose error it is where `error` is not NULL. */
static int tell_row(Exchange *self, PyObject *name, PyObject *status, PyObject *error)
{
    PyObject *route, *method = method_of(self);
    if (method == NULL || (route = route_of(self)) == NULL)
        return -1;
    PyObject *labels = PyTuple_Pack(3, method, route, status);
    if (labels == NULL)
        return -1;
    PyObject *arguments[] = {self->row, labels, error};
    PyObject *none = PyObject_VectorcallMethod(name, arguments, error == NULL ? 2 : 3, NULL);
    Py_DECREF(labels);
    if (none == NULL)
        return -1;
    Py_DECREF(none);
    self->is_counted = 1;
    return 0;
}

PyObject *hvd_error_of(PyObject *status)
{
    int is_text = PyUnicode_Check(status) && PyUnicode_GET_LENGTH(status);
    Py_UCS4 first = is_text ? PyUnicode_READ_CHAR(status, 0) : 0;
    return PyLong_FromLong(first == '5' ? 2 : first >= '4' ? 1 : 0); /* hvd/core/limits.py */
}

/* What an attribute of this process's extras is. */
static PyObject *of_extras(Exchange *self, PyObject *name)
{
    PyObject *extras = PyObject_GetAttr(RULE(self->counted, COUNTING), hvd_text[EXTRAS]);
    if (extras == NULL)
        return NULL;
    PyObject *value = PyObject_GetAttr(extras, name);
    Py_DECREF(extras);
    return value;
}

/* The runs of sizes, None where they are not kept, and the row that they count in: Extras._row. */
static PyObject *sizes_of(Exchange *self, PyObject **row)
{
    PyObject *extras = PyObject_GetAttr(RULE(self->counted, COUNTING), hvd_text[EXTRAS]);
    PyObject *local = extras == NULL ? NULL : PyObject_GetAttr(extras, hvd_text[LOCAL]), *sizes = NULL;
    if (local != NULL)
        *row = local == Py_None ? Py_NewRef(self->row) : PyObject_GetAttr(local, hvd_text[ROW]);
    if (*row != NULL)
        sizes = PyObject_GetAttr(extras, hvd_text[SIZES]);
    Py_XDECREF(local);
    Py_XDECREF(extras);
    return sizes;
}

/* Extras.sized, of a response that is counted */
static int measure(Exchange *self, PyObject *body)
{
    PyObject *row = NULL, *sizes = sizes_of(self, &row), *length = NULL;
    if (sizes == NULL || sizes == Py_None) {
        Py_XDECREF(row);
        Py_XDECREF(sizes);
        return sizes == NULL ? -1 : 0;
    }
    PyObject *route = Py_XNewRef(route_of(self));
    if (self->environ != NULL)
        length = PyDict_GetItemWithError(self->environ, hvd_text[LENGTH]);
    int result = -1;
    if (route != NULL && !PyErr_Occurred())
        result = hvd_measure(row, sizes, method_of(self), route, length, self->headers, body);
    Py_XDECREF(route);
    Py_DECREF(sizes);
    Py_DECREF(row);
    return result;
}

int hvd_exchange_count(Exchange *self, PyObject *body)
{
    if (self->is_counted)
        return 0;
    if (self->status == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "the app has not called start_response, and its response begins");
        return -1;
    }
    PyObject *error = hvd_error_of(self->status);
    if (error == NULL)
        return -1;
    int result = tell_row(self, hvd_text[RESPOND], self->status, error);
    Py_DECREF(error);
    if (result < 0)
        return -1;
    return measure(self, body);
}

static PyObject *write_counted(Exchange *self, PyObject *data)
{
    if (hvd_exchange_count(self, NULL) < 0)
        return NULL;
    if (self->write == NULL)
        return PyErr_Format(PyExc_RuntimeError, "the response is over");
    PyObject *write = Py_NewRef(self->write);
    PyObject *result = PyObject_CallOneArg(write, data);
    Py_DECREF(write);
    return result;
}

static PyMethodDef write_method = {"write", (PyCFunction)write_counted, METH_O, NULL};

static PyObject *start_response(PyObject *callable, PyObject *const *args, size_t flags, PyObject *names)
{
    Exchange *self = (Exchange *)callable;
    if (self->start_response == NULL)
        return PyErr_Format(PyExc_RuntimeError, "the response is over");
    PyObject *original = Py_NewRef(self->start_response);
    PyObject *write = PyObject_Vectorcall(original, args, flags, names);
    Py_DECREF(original);
    if (write == NULL)
        return NULL;
    Py_XSETREF(self->write, write);
    Py_ssize_t count = PyVectorcall_NARGS(flags);
    PyObject *label = label_of(self, argument(args, count, names, 0, hvd_text[STATUS]));
    if (label == NULL)
        return NULL;
    Py_XSETREF(self->status, label);
    Py_XSETREF(self->headers, Py_XNewRef(argument(args, count, names, 1, hvd_text[HEADERS])));
    return PyCFunction_New(&write_method, callable);
}

/* The app, or its stream, raised: broke_off says what that means, and raises what gunicorn is to see. */
void *hvd_exchange_failed(Exchange *self, int streaming)
{
    PyObject *type, *error, *traceback;
    PyErr_Fetch(&type, &error, &traceback);
    PyErr_NormalizeException(&type, &error, &traceback);
    if (traceback != NULL)
        PyException_SetTraceback(error, traceback);
    PyObject *arguments[] = {error, (PyObject *)self, streaming ? Py_True : Py_False};
    PyObject *result = PyObject_Vectorcall(RULE(self->counted, BROKE_OFF), arguments, 3, NULL);
    if (result != NULL) {
        Py_DECREF(result);
        PyErr_SetString(PyExc_SystemError, "broke_off raised nothing");
    }
    Py_XDECREF(type);
    Py_XDECREF(error);
    Py_XDECREF(traceback);
    return NULL;
}

/* Once, and not if the row has the next request by now. */
static int end(Exchange *self)
{
    PyObject *current = PyObject_GetAttr(self->row, hvd_text[IN_ROW]);
    if (current == NULL)
        return -1;
    Py_DECREF(current); /* only compared */
    if (current != (PyObject *)self)
        return 0;
    if (PyObject_SetAttr(self->row, hvd_text[IN_ROW], Py_None) < 0)
        return -1;
    PyObject *interrupted = PyObject_GetAttr(self->row, hvd_text[INTERRUPTED]);
    if (interrupted == NULL)
        return -1;
    Py_DECREF(interrupted);
    if (interrupted != Py_None)
        return 0;
    PyObject *none = PyObject_CallMethodNoArgs(self->row, hvd_text[FINISH]);
    Py_XDECREF(none);
    return none == NULL ? -1 : 0;
}

/* tp_iternext: NULL without an exception is the end. */
static PyObject *next_piece(Exchange *self)
{
    if (self->body == NULL)
        return NULL;
    PyObject *piece = NULL, *pieces = Py_XNewRef(self->pieces), *body = Py_NewRef(self->body);
    if (pieces == NULL && (pieces = PyObject_GetIter(body)) != NULL)
        Py_XSETREF(self->pieces, Py_NewRef(pieces));
    Py_DECREF(body);
    if (pieces != NULL)
        piece = PyIter_Next(pieces);
    Py_XDECREF(pieces);
    if ((piece != NULL || !PyErr_Occurred()) && hvd_exchange_count(self, NULL) == 0) {
        if (piece == NULL && self->ends_itself)
            end(self); /* NULL with its exception, if it has one */
        return piece;
    }
    Py_XDECREF(piece);
    return hvd_exchange_failed(self, 1);
}

static PyObject *close_body(Exchange *self)
{
    PyObject *body = self->body, *result = NULL;
    self->body = NULL;
    Py_CLEAR(self->pieces);
    if (body == NULL)
        Py_RETURN_NONE;
    PyObject *close = PyObject_GetAttr(body, hvd_text[CLOSE]);
    if (close != NULL) {
        result = PyObject_CallNoArgs(close);
        Py_DECREF(close);
    } else if (PyErr_ExceptionMatches(PyExc_AttributeError)) {
        PyErr_Clear();
        result = Py_NewRef(Py_None);
    }
    Py_DECREF(body);
    return result;
}

static PyObject *close_exchange(Exchange *self, PyObject *unused)
{
    PyObject *result = close_body(self);
    return self->ends_itself ? hvd_exchange_finish_after(self, result) : result;
}

static PyObject *pass_on(Exchange *self, PyObject *unused)
{
    if (tell_row(self, hvd_text[PASS_ON], hvd_text[SWITCHING], NULL) < 0)
        return NULL;
    Py_RETURN_NONE;
}

/* Clear what a cycle can go through. The rest stays: code that still has the object may call it. */
static int exchange_clear(Exchange *self)
{
    Py_CLEAR(self->environ);
    Py_CLEAR(self->headers);
    Py_CLEAR(self->start_response);
    Py_CLEAR(self->write);
    Py_CLEAR(self->body);
    Py_CLEAR(self->pieces);
    return 0;
}

PyObject *hvd_exchange_finish(Exchange *self, PyObject *unused)
{
    PyObject *result = end(self) < 0 ? NULL : Py_NewRef(Py_None);
    exchange_clear(self);
    return result;
}

/* Finish, and give this result, or the exception that is set. */
PyObject *hvd_exchange_finish_after(Exchange *self, PyObject *result)
{
    PyObject *type, *error, *traceback;
    PyErr_Fetch(&type, &error, &traceback);
    PyObject *none = hvd_exchange_finish(self, NULL);
    if (none == NULL)
        Py_CLEAR(result);
    Py_XDECREF(none);
    if (type != NULL)
        PyErr_Restore(type, error, traceback);
    return result;
}

static int exchange_traverse(Exchange *self, visitproc visit, void *arg)
{
    Py_VISIT(self->counted);
    Py_VISIT(self->row);
    Py_VISIT(self->environ);
    Py_VISIT(self->method);
    Py_VISIT(self->route);
    Py_VISIT(self->status);
    Py_VISIT(self->headers);
    Py_VISIT(self->start_response);
    Py_VISIT(self->write);
    Py_VISIT(self->body);
    Py_VISIT(self->pieces);
    return 0;
}

static void exchange_dealloc(Exchange *self)
{
    PyObject_GC_UnTrack(self);
    exchange_clear(self);
    Py_XDECREF(self->counted);
    Py_XDECREF(self->row);
    Py_XDECREF(self->method);
    Py_XDECREF(self->route);
    Py_XDECREF(self->status);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyMethodDef exchange_methods[] = {
    {"close", (PyCFunction)close_exchange, METH_NOARGS, NULL},
    {"pass_on", (PyCFunction)pass_on, METH_NOARGS, NULL},
    {"finish", (PyCFunction)hvd_exchange_finish, METH_NOARGS, NULL},
    {0},
};

static PyObject *get_route(Exchange *self, void *unused)
{
    return Py_XNewRef(route_of(self));
}

static int set_route(Exchange *self, PyObject *route, void *unused)
{
    if (route == NULL) {
        PyErr_SetString(PyExc_AttributeError, "a request always has a route");
        return -1;
    }
    Py_XSETREF(self->route, route == Py_None ? NULL : Py_NewRef(route));
    return 0;
}

static PyObject *is_left(Exchange *self, void *unused)
{
    return PyBool_FromLong(self->ends_itself && self->body != NULL);
}

static PyGetSetDef exchange_properties[] = {
    {"route", (getter)get_route, (setter)set_route, NULL, NULL},
    {"is_left", (getter)is_left, NULL, NULL, NULL},
    {0},
};

static PyMemberDef exchange_members[] = {
    {"row", T_OBJECT, offsetof(Exchange, row), READONLY, NULL},
    {"environ", T_OBJECT, offsetof(Exchange, environ), 0, NULL},
    {"method", T_OBJECT, offsetof(Exchange, method), READONLY, NULL},
    {"ends_itself", T_BOOL, offsetof(Exchange, ends_itself), READONLY, NULL},
    {"is_counted", T_BOOL, offsetof(Exchange, is_counted), READONLY, NULL},
    {0},
};

PyTypeObject hvd_exchange_type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "hvd.instrument._counting.Exchange",
    .tp_basicsize = sizeof(Exchange),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL |
                Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .tp_doc = "See wsgi.py.",
    .tp_traverse = (traverseproc)exchange_traverse,
    .tp_clear = (inquiry)exchange_clear,
    .tp_dealloc = (destructor)exchange_dealloc,
    .tp_call = PyVectorcall_Call,
    .tp_vectorcall_offset = offsetof(Exchange, vectorcall),
    .tp_iter = PyObject_SelfIter,
    .tp_iternext = (iternextfunc)next_piece,
    .tp_methods = exchange_methods,
    .tp_members = exchange_members,
    .tp_getset = exchange_properties,
};

/* A value of the environ, borrowed of a dict that this request owns. NULL with a KeyError where there is none. */
static PyObject *required(PyObject *environ, PyObject *key)
{
    PyObject *value = PyDict_GetItemWithError(environ, key);
    if (value == NULL && !PyErr_Occurred())
        PyErr_SetObject(PyExc_KeyError, key);
    return value;
}

/* Tell the row that the request begins. */
static int begin(PyObject *row, PyObject *method, PyObject *path)
{
    if (PyObject_SetAttr(row, hvd_text[INTERRUPTED], Py_None) < 0)
        return -1;
    PyObject *arguments[] = {row, method, path};
    PyObject *none = PyObject_VectorcallMethod(hvd_text[BEGIN], arguments, 3, NULL);
    Py_XDECREF(none);
    return none == NULL ? -1 : 0;
}

/* Where a proxy says since when the request has waited. */
static int note_queue(Exchange *self)
{
    PyObject *since = PyDict_GetItemWithError(self->environ, hvd_text[REQUEST_START]);
    if (since == NULL)
        return PyErr_Occurred() ? -1 : 0;
    PyObject *queued = of_extras(self, hvd_text[QUEUED]);
    if (queued == NULL)
        return -1;
    PyObject *arguments[] = {self->row, since}, *none = PyObject_Vectorcall(queued, arguments, 2, NULL);
    Py_DECREF(queued);
    Py_XDECREF(none);
    return none == NULL ? -1 : 0;
}

Exchange *hvd_exchange_new(Counted *counted, PyObject *row, PyObject *environ, PyObject *original)
{
    PyObject *path, *method = required(environ, hvd_text[METHOD]);
    if (method == NULL || (path = required(environ, hvd_text[PATH])) == NULL)
        return NULL;
    Exchange *self = (Exchange *)hvd_exchange_type.tp_alloc(&hvd_exchange_type, 0);
    if (self == NULL)
        return NULL;
    self->vectorcall = start_response;
    self->counted = (Counted *)Py_NewRef(counted);
    self->row = Py_NewRef(row);
    self->environ = Py_NewRef(environ);
    self->method = Py_NewRef(method);
    self->start_response = Py_NewRef(original);
    self->ends_itself = !counted->is_outermost;
    if (begin(row, self->method, path) < 0 || note_queue(self) < 0)
        Py_CLEAR(self);
    return self;
}

int hvd_exchange_ready(void)
{
    static const char *const texts[TEXTS] = {
        [LOCAL] = "local",     [ROW] = "row",         [METHOD] = "REQUEST_METHOD", [PATH] = "PATH_INFO",
        [BEGIN] = "begin",     [RESPOND] = "respond", [PASS_ON] = "pass_on",       [FINISH] = "finish",
        [IN_ROW] = "exchange", [CLOSE] = "close",     [STATUS] = "status",         [INTERRUPTED] = "interrupted",
        [SWITCHING] = "101",   [EXCHANGE] = "hvd.exchange",
        [MEASURE] = "measure", [SETTINGS] = "settings", [EXCLUDE] = "exclude",
        [FILE_WRAPPER] = "wsgi.file_wrapper", [EXTRAS] = "extras", [SIZES] = "sizes", [QUEUED] = "queued",
        [REQUEST_START] = "HTTP_X_REQUEST_START", [LENGTH] = "CONTENT_LENGTH", [HEADERS] = "headers",
    };
    for (int i = 0; i < TEXTS; i++)
        if (hvd_text[i] == NULL && (hvd_text[i] = PyUnicode_InternFromString(texts[i])) == NULL)
            return -1;
    return PyType_Ready(&hvd_exchange_type);
}
