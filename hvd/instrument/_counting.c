/* The Python of wsgi.py, which runs at each request, compiled: what is counted, when and why is said there. A frame
 * of the interpreter that is entered with cold caches costs more than all that it does here. Here is the application;
 * what goes with a request is in _exchange.c.
 *
 * Rows are called by their methods, so it is all the same to these files how they are made. An object from outside
 * may be of any type: its type is checked before its fields are read.
 */

#include "_exchange.h"

/* here.local.row: the calling thread's. */
static PyObject *row_of(PyObject *here)
{
    PyObject *local = PyObject_GetAttr(here, hvd_text[LOCAL]);
    if (local == NULL)
        return NULL;
    PyObject *row = PyObject_GetAttr(local, hvd_text[ROW]);
    Py_DECREF(local);
    return row;
}

/* 1 and a new reference to the request's exchange; 0: its environ has none; -1 with an exception set. */
static int exchange_of(PyObject *environ, Exchange **exchange)
{
    if (!PyDict_Check(environ))
        return 0;
    PyObject *value = PyDict_GetItemWithError(environ, hvd_text[EXCHANGE]);
    if (value == NULL)
        return PyErr_Occurred() ? -1 : 0;
    if (!Py_IS_TYPE(value, &hvd_exchange_type))
        return 0;
    *exchange = (Exchange *)Py_NewRef(value);
    return 1;
}

/* What a helper in Python says: 1, 0, or -1 with an exception set. */
static int ask(PyObject *helper, PyObject *one, PyObject *other)
{
    PyObject *arguments[] = {one, other}, *answer = PyObject_Vectorcall(helper, arguments, other == NULL ? 1 : 2, NULL);
    Py_XDECREF(answer); /* only compared */
    return answer == NULL ? -1 : answer == Py_True;
}

/* Whether the settings leave out some paths, and this is one of them. */
static int is_excluded(Counted *self, PyObject *environ)
{
    PyObject *settings = PyObject_GetAttr(RULE(self, COUNTING), hvd_text[SETTINGS]);
    if (settings == NULL)
        return -1;
    PyObject *exclude = PyObject_GetAttr(settings, hvd_text[EXCLUDE]);
    Py_DECREF(settings);
    Py_XDECREF(exclude); /* only compared */
    return exclude == NULL ? -1 : exclude == Py_None ? 0 : ask(RULE(self, IS_EXCLUDED), environ, NULL);
}

/* A new reference to the request's exchange, which is in its environ and in the row by now. */
static Exchange *make_exchange(Counted *self, PyObject *row, PyObject *environ, PyObject *original)
{
    Exchange *exchange = hvd_exchange_new(self, row, environ, original);
    if (exchange != NULL && (PyDict_SetItem(environ, hvd_text[EXCHANGE], (PyObject *)exchange) < 0 ||
                             PyObject_SetAttr(row, hvd_text[IN_ROW], (PyObject *)exchange) < 0))
        Py_CLEAR(exchange);
    return exchange;
}

/* Whether the body is the server's own wrapper of a file. */
static int is_file(PyObject *environ, PyObject *body)
{
    PyObject *wrapper = PyDict_GetItemWithError(environ, hvd_text[FILE_WRAPPER]);
    if (wrapper == NULL)
        return PyErr_Occurred() ? -1 : 0;
    return PyType_Check(wrapper) && PyObject_TypeCheck(body, (PyTypeObject *)wrapper);
}

static PyObject *serve(Counted *self, Exchange *exchange, PyObject *environ)
{
    PyObject *arguments[] = {NULL, environ, (PyObject *)exchange};
    PyObject *body = PyObject_Vectorcall(self->app, arguments + 1, 2 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
    if (body == NULL)
        return hvd_exchange_failed(exchange, 0);
    int goes_as_it_is = PyList_CheckExact(body) ? 1 : self->is_outermost ? is_file(environ, body) : 0;
    if (goes_as_it_is == 0) {
        Py_XSETREF(exchange->body, body);
        return Py_NewRef(exchange);
    }
    if (goes_as_it_is < 0 || hvd_exchange_count(exchange, body) < 0) {
        Py_DECREF(body);
        return hvd_exchange_failed(exchange, 0);
    }
    return exchange->ends_itself ? hvd_exchange_finish_after(exchange, body) : body;
}

static PyObject *call(PyObject *callable, PyObject *const *args, size_t flags, PyObject *names)
{
    Counted *self = (Counted *)callable;
    if (PyVectorcall_NARGS(flags) != 2 || (names != NULL && PyTuple_GET_SIZE(names)) || !PyDict_Check(args[0]))
        return PyErr_Format(PyExc_TypeError, "a WSGI application takes an environ and start_response");
    if (self->app == NULL)
        return PyErr_Format(PyExc_RuntimeError, "the application is gone");
    Exchange *exchange;
    PyObject *row = NULL;
    int has_exchange = exchange_of(args[0], &exchange);
    if (has_exchange > 0)
        Py_DECREF(exchange); /* the environ has it */
    if (has_exchange == 0)
        has_exchange = (row = row_of(self->here)) == NULL ? -1
                       : self->is_outermost               ? 0
                                                          : ask(RULE(self, IS_PART), args[0], row);
    if (has_exchange == 0)
        has_exchange = is_excluded(self, args[0]);
    if (has_exchange) {
        Py_XDECREF(row);
        return has_exchange < 0 ? NULL : PyObject_Vectorcall(self->app, args, flags, names);
    }
    exchange = make_exchange(self, row, args[0], args[1]);
    Py_DECREF(row);
    if (exchange == NULL)
        return NULL;
    PyObject *result = serve(self, exchange, args[0]);
    Py_DECREF(exchange);
    return result;
}

static PyObject *counted_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    PyObject *here, *app, *rules;
    int is_outermost;
    if (kwargs != NULL && PyDict_GET_SIZE(kwargs))
        return PyErr_Format(PyExc_TypeError, "Counted takes no keywords");
    if (!PyArg_ParseTuple(args, "OOO!p", &here, &app, &PyTuple_Type, &rules, &is_outermost))
        return NULL;
    if (PyTuple_GET_SIZE(rules) != RULES || !PyFrozenSet_Check(PyTuple_GET_ITEM(rules, METHODS)))
        return PyErr_Format(PyExc_TypeError, "Counted takes %d rules, the first one a frozenset", RULES);
    Counted *self = (Counted *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->vectorcall = call;
    self->is_outermost = is_outermost != 0;
    self->here = Py_NewRef(here);
    self->app = Py_NewRef(app);
    self->rules = Py_NewRef(rules);
    return (PyObject *)self;
}

static int counted_traverse(Counted *self, visitproc visit, void *arg)
{
    Py_VISIT(self->here);
    Py_VISIT(self->app);
    Py_VISIT(self->rules);
    return 0;
}

/* What a cycle can go through; an exchange that is still there needs the rest. */
static int counted_clear(Counted *self)
{
    Py_CLEAR(self->here);
    Py_CLEAR(self->app);
    return 0;
}

static void counted_dealloc(Counted *self)
{
    PyObject_GC_UnTrack(self);
    counted_clear(self);
    Py_XDECREF(self->rules);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyMemberDef counted_members[] = {
    {"app", T_OBJECT, offsetof(Counted, app), READONLY, NULL},
    {0},
};

static PyTypeObject counted_type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "hvd.instrument._counting.Counted",
    .tp_basicsize = sizeof(Counted),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL,
    .tp_doc = "See counted in wsgi.py.",
    .tp_new = counted_new,
    .tp_members = counted_members,
    .tp_traverse = (traverseproc)counted_traverse,
    .tp_clear = (inquiry)counted_clear,
    .tp_dealloc = (destructor)counted_dealloc,
    .tp_call = PyVectorcall_Call,
    .tp_vectorcall_offset = offsetof(Counted, vectorcall),
};

static PyObject *post_request(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
    if (nargs != 4)
        return PyErr_Format(PyExc_TypeError, "post_request takes 4 arguments (%zd given)", nargs);
    Exchange *exchange;
    int has_exchange = exchange_of(args[2], &exchange);
    if (has_exchange <= 0)
        return has_exchange < 0 ? NULL : Py_NewRef(Py_None);
    PyObject *result = hvd_exchange_finish(exchange, NULL);
    Py_DECREF(exchange);
    return result;
}

static PyMethodDef methods[] = {
    FASTCALL("post_request", post_request, "post_request($module, worker, req, environ, resp, /)\n--\n\nSee wsgi.py."),
    FASTCALL("measure", hvd_measure_call, "measure($module, row, runs, method, route, length, headers, body, /)\n--\n\n"
             "See extras.py."),
    {"content_length", hvd_content_length, METH_O, "content_length($module, headers, /)\n--\n\nSee extras.py."},
    {0},
};

static int execute(PyObject *module)
{
    if (hvd_exchange_ready() < 0 || hvd_hot_ready() < 0 || PyModule_AddType(module, &counted_type) < 0)
        return -1;
    return PyModule_AddType(module, &hvd_hot_type);
}

HVD_MODULE(_counting, "hvd.instrument._counting", methods, execute)
