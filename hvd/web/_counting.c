/* The Python of counting.py, which runs at each request, compiled: what is counted, when and why is said there. A frame
 * of the interpreter that is entered with cold caches costs more than all that it does here.
 *
 * Rows are called by their methods, so it is all the same to this file how they are made. Whatever comes from outside is
 * of any type: an object's insides are looked at after a check of its type only.
 */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stddef.h>
#include <structmember.h>

static PyObject *str_local, *str_row, *str_begin, *str_respond, *str_pass_on, *str_finish, *str_interrupted, *str_close;
static PyObject *str_method, *str_path, *str_exchange, *str_status, *str_env, *str_template, *str_101;

static PyTypeObject counted_type, exchange_type;

/* Counted(runtime, app, methods, other, unmatched, broke_off, is_outermost): the WSGI application */
typedef struct {
    PyObject_HEAD
    vectorcallfunc vectorcall;
    PyObject *runtime, *app, *methods, *other, *unmatched, *broke_off;
    int is_outermost;
} Counted;

/* Exchange, which only a Counted makes. Pieces, body and write are NULL until there are any, and once it is over. */
typedef struct {
    PyObject_HEAD
    vectorcallfunc vectorcall; /* the app's start_response */
    Counted *counted;
    PyObject *row, *method, *route, *status, *start_response, *write, *body, *pieces;
    char has_begun, is_counted, is_over;
} Exchange;

/* runtime.local.row: the calling thread's. */
static PyObject *row_of(PyObject *runtime)
{
    PyObject *local = PyObject_GetAttr(runtime, str_local);
    if (local == NULL)
        return NULL;
    PyObject *row = PyObject_GetAttr(local, str_row);
    Py_DECREF(local);
    return row;
}

/* 1 and a new reference to the request's exchange; 0: it has none; -1 with an exception set. */
static int exchange_of(PyObject *environ, Exchange **exchange)
{
    if (!PyDict_Check(environ))
        return 0;
    PyObject *found = PyDict_GetItemWithError(environ, str_exchange);
    if (found == NULL)
        return PyErr_Occurred() ? -1 : 0;
    if (!Py_IS_TYPE(found, &exchange_type))
        return 0;
    *exchange = (Exchange *)Py_NewRef(found);
    return 1;
}

/* ---- Exchange */

/* The label of what start_response was given, a new reference. */
static PyObject *label_of(Exchange *self, PyObject *status)
{
    if (status == NULL || !PyUnicode_Check(status) || PyUnicode_GET_LENGTH(status) < 3)
        return Py_NewRef(self->counted->other);
    for (Py_ssize_t i = 0; i < 3; i++) {
        Py_UCS4 digit = PyUnicode_READ_CHAR(status, i);
        if (digit < '0' || digit > '9')
            return Py_NewRef(self->counted->other);
    }
    return PyUnicode_Substring(status, 0, 3);
}

/* The argument `status`, borrowed; NULL if there is none. */
static PyObject *status_among(PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    if (count > 0)
        return args[0];
    for (Py_ssize_t i = 0; names != NULL && i < PyTuple_GET_SIZE(names); i++)
        if (PyUnicode_Compare(PyTuple_GET_ITEM(names, i), str_status) == 0)
            return args[i];
    return NULL;
}

/* Call one of the row's methods with method, route and status. */
static int tell_row(Exchange *self, PyObject *name, PyObject *status)
{
    int known = PySet_Contains(self->counted->methods, self->method);
    if (known < 0)
        return -1;
    PyObject *arguments[] = {self->row, known ? self->method : self->counted->other, self->route, status};
    PyObject *none = PyObject_VectorcallMethod(name, arguments, 4, NULL);
    if (none == NULL)
        return -1;
    Py_DECREF(none);
    self->is_counted = 1;
    return 0;
}

static int count(Exchange *self)
{
    if (self->is_counted || !self->has_begun)
        return 0;
    if (self->status == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "the app has not called start_response, and its response begins");
        return -1;
    }
    return tell_row(self, str_respond, self->status);
}

static PyObject *write_counted(Exchange *self, PyObject *data)
{
    if (count(self) < 0)
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
    PyObject *label = label_of(self, status_among(args, PyVectorcall_NARGS(flags), names));
    if (label == NULL)
        return NULL;
    Py_XSETREF(self->status, label);
    return PyCFunction_New(&write_method, callable);
}

/* The app, or its stream, raised: broke_off says what that means, and raises what gunicorn is to see. */
static void *failed(Exchange *self, int streaming)
{
    PyObject *type, *error, *traceback;
    PyErr_Fetch(&type, &error, &traceback);
    PyErr_NormalizeException(&type, &error, &traceback);
    if (traceback != NULL)
        PyException_SetTraceback(error, traceback);
    PyObject *arguments[] = {error, (PyObject *)self, streaming ? Py_True : Py_False};
    PyObject *result = PyObject_Vectorcall(self->counted->broke_off, arguments, 3, NULL);
    if (result != NULL) {
        Py_DECREF(result);
        PyErr_SetString(PyExc_SystemError, "broke_off raised nothing");
    }
    Py_XDECREF(type);
    Py_XDECREF(error);
    Py_XDECREF(traceback);
    return NULL;
}

/* tp_iternext: NULL without an exception is the end. */
static PyObject *next_piece(Exchange *self)
{
    if (self->body == NULL)
        return NULL;
    if (self->pieces == NULL && (self->pieces = PyObject_GetIter(self->body)) == NULL)
        return failed(self, 1);
    PyObject *pieces = Py_NewRef(self->pieces);
    PyObject *piece = PyIter_Next(pieces);
    Py_DECREF(pieces);
    if ((piece != NULL || !PyErr_Occurred()) && count(self) == 0)
        return piece;
    Py_XDECREF(piece);
    return failed(self, 1);
}

static PyObject *close_body(Exchange *self, PyObject *unused)
{
    PyObject *body = self->body, *result = NULL;
    self->body = NULL;
    Py_CLEAR(self->pieces);
    if (body == NULL)
        Py_RETURN_NONE;
    PyObject *close = PyObject_GetAttr(body, str_close);
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

static PyObject *pass_on(Exchange *self, PyObject *unused)
{
    if (self->has_begun && tell_row(self, str_pass_on, str_101) < 0)
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *finish(Exchange *self, PyObject *unused)
{
    PyObject *result = Py_NewRef(Py_None);
    if (self->has_begun && !self->is_over) {
        self->is_over = 1;
        PyObject *interrupted = PyObject_GetAttr(self->row, str_interrupted);
        if (interrupted == Py_None)
            Py_SETREF(result, PyObject_CallMethodNoArgs(self->row, str_finish));
        else if (interrupted == NULL)
            Py_CLEAR(result);
        Py_XDECREF(interrupted);
    }
    Py_CLEAR(self->start_response);
    Py_CLEAR(self->write);
    Py_CLEAR(self->body);
    Py_CLEAR(self->pieces);
    return result;
}

static int exchange_traverse(Exchange *self, visitproc visit, void *arg)
{
    Py_VISIT(self->counted);
    Py_VISIT(self->row);
    Py_VISIT(self->method);
    Py_VISIT(self->route);
    Py_VISIT(self->status);
    Py_VISIT(self->start_response);
    Py_VISIT(self->write);
    Py_VISIT(self->body);
    Py_VISIT(self->pieces);
    return 0;
}

/* What a cycle can go through. The rest stays: whoever still has the object may call it. */
static int exchange_clear(Exchange *self)
{
    Py_CLEAR(self->start_response);
    Py_CLEAR(self->write);
    Py_CLEAR(self->body);
    Py_CLEAR(self->pieces);
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
    {"close", (PyCFunction)close_body, METH_NOARGS, NULL},
    {"pass_on", (PyCFunction)pass_on, METH_NOARGS, NULL},
    {"finish", (PyCFunction)finish, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef exchange_members[] = {
    {"row", T_OBJECT, offsetof(Exchange, row), READONLY, NULL},
    {"method", T_OBJECT, offsetof(Exchange, method), READONLY, NULL},
    {"route", T_OBJECT, offsetof(Exchange, route), READONLY, NULL},
    {"has_begun", T_BOOL, offsetof(Exchange, has_begun), READONLY, NULL},
    {"is_counted", T_BOOL, offsetof(Exchange, is_counted), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyTypeObject exchange_type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "hvd.web._counting.Exchange",
    .tp_basicsize = sizeof(Exchange),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .tp_doc = "See counting.py.",
    .tp_traverse = (traverseproc)exchange_traverse,
    .tp_clear = (inquiry)exchange_clear,
    .tp_dealloc = (destructor)exchange_dealloc,
    .tp_call = PyVectorcall_Call,
    .tp_vectorcall_offset = offsetof(Exchange, vectorcall),
    .tp_iter = PyObject_SelfIter,
    .tp_iternext = (iternextfunc)next_piece,
    .tp_methods = exchange_methods,
    .tp_members = exchange_members,
};

/* ---- Counted */

static Exchange *new_exchange(Counted *counted, PyObject *row, PyObject *method, PyObject *original)
{
    Exchange *self = (Exchange *)exchange_type.tp_alloc(&exchange_type, 0);
    if (self == NULL)
        return NULL;
    self->vectorcall = start_response;
    self->counted = (Counted *)Py_NewRef(counted);
    self->row = Py_NewRef(row);
    self->method = Py_NewRef(method);
    self->route = Py_NewRef(counted->unmatched);
    self->start_response = Py_NewRef(original);
    return self;
}

/* The request has come to a counted app; what comes to none is not counted. */
static int begin(Exchange *self, PyObject *environ)
{
    if (self->has_begun)
        return 0;
    PyObject *path = PyDict_GetItemWithError(environ, str_path); /* borrowed, of a dict that this request owns */
    if (path == NULL) {
        if (!PyErr_Occurred())
            PyErr_SetObject(PyExc_KeyError, str_path);
        return -1;
    }
    PyObject *arguments[] = {self->row, self->method, path};
    PyObject *none = PyObject_VectorcallMethod(str_begin, arguments, 3, NULL);
    if (none == NULL)
        return -1;
    Py_DECREF(none);
    self->has_begun = 1;
    return 0;
}

/* A new reference to the request's exchange, which is in its environ by now. */
static Exchange *make_exchange(Counted *self, PyObject *environ, PyObject *original)
{
    PyObject *method = PyDict_GetItemWithError(environ, str_method);
    if (method == NULL) {
        if (!PyErr_Occurred())
            PyErr_SetObject(PyExc_KeyError, str_method);
        return NULL;
    }
    PyObject *row = row_of(self->runtime);
    if (row == NULL)
        return NULL;
    Exchange *exchange = new_exchange(self, row, method, original);
    Py_DECREF(row);
    if (exchange != NULL && ((!self->is_outermost && begin(exchange, environ) < 0) ||
                             PyDict_SetItem(environ, str_exchange, (PyObject *)exchange) < 0))
        Py_CLEAR(exchange);
    return exchange;
}

static PyObject *serve(Counted *self, Exchange *exchange, PyObject *environ)
{
    PyObject *arguments[] = {NULL, environ, (PyObject *)exchange};
    PyObject *body = PyObject_Vectorcall(self->app, arguments + 1, 2 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
    if (body == NULL)
        return failed(exchange, 0);
    if (!PyList_CheckExact(body)) {
        Py_XSETREF(exchange->body, body);
        return Py_NewRef(exchange);
    }
    if (count(exchange) == 0)
        return body;
    Py_DECREF(body);
    return failed(exchange, 0);
}

static PyObject *call(PyObject *callable, PyObject *const *args, size_t flags, PyObject *names)
{
    Counted *self = (Counted *)callable;
    if (PyVectorcall_NARGS(flags) != 2 || (names != NULL && PyTuple_GET_SIZE(names)) || !PyDict_Check(args[0])) {
        PyErr_SetString(PyExc_TypeError, "a WSGI application takes an environ and start_response");
        return NULL;
    }
    if (self->app == NULL)
        return PyErr_Format(PyExc_RuntimeError, "the application is gone");
    Exchange *exchange;
    int found = exchange_of(args[0], &exchange);
    if (found) {
        if (found > 0) {
            found = begin(exchange, args[0]);
            Py_DECREF(exchange);
        }
        return found < 0 ? NULL : PyObject_Vectorcall(self->app, args, flags, names);
    }
    exchange = make_exchange(self, args[0], args[1]);
    if (exchange == NULL)
        return NULL;
    PyObject *result = serve(self, exchange, args[0]);
    Py_DECREF(exchange);
    return result;
}

static PyObject *counted_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    PyObject *given[6];
    if (kwargs != NULL && PyDict_GET_SIZE(kwargs))
        return PyErr_Format(PyExc_TypeError, "Counted takes no keywords");
    int is_outermost;
    if (!PyArg_ParseTuple(args, "OOO!OOOp", &given[0], &given[1], &PyFrozenSet_Type, &given[2], &given[3], &given[4],
                          &given[5], &is_outermost))
        return NULL;
    Counted *self = (Counted *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->vectorcall = call;
    self->is_outermost = is_outermost;
    PyObject **kept[] = {&self->runtime, &self->app, &self->methods, &self->other, &self->unmatched, &self->broke_off};
    for (int i = 0; i < 6; i++)
        *kept[i] = Py_NewRef(given[i]);
    return (PyObject *)self;
}

static int counted_traverse(Counted *self, visitproc visit, void *arg)
{
    Py_VISIT(self->runtime);
    Py_VISIT(self->app);
    Py_VISIT(self->methods);
    Py_VISIT(self->other);
    Py_VISIT(self->unmatched);
    Py_VISIT(self->broke_off);
    return 0;
}

/* What a cycle can go through; an exchange that is still there needs the rest. */
static int counted_clear(Counted *self)
{
    Py_CLEAR(self->runtime);
    Py_CLEAR(self->app);
    return 0;
}

static void counted_dealloc(Counted *self)
{
    PyObject_GC_UnTrack(self);
    counted_clear(self);
    Py_XDECREF(self->methods);
    Py_XDECREF(self->other);
    Py_XDECREF(self->unmatched);
    Py_XDECREF(self->broke_off);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyTypeObject counted_type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "hvd.web._counting.Counted",
    .tp_basicsize = sizeof(Counted),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL,
    .tp_doc = "See counted in counting.py.",
    .tp_new = counted_new,
    .tp_traverse = (traverseproc)counted_traverse,
    .tp_clear = (inquiry)counted_clear,
    .tp_dealloc = (destructor)counted_dealloc,
    .tp_call = PyVectorcall_Call,
    .tp_vectorcall_offset = offsetof(Counted, vectorcall),
};

/* ---- functions */

/* counting.py, RouteName: the request's exchange learns the template of the route that matched. */
static PyObject *name_route(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
    if (nargs != 4)
        return PyErr_Format(PyExc_TypeError, "name_route takes 4 arguments (%zd given)", nargs);
    PyObject *environ = PyObject_GetAttr(args[0], str_env);
    if (environ == NULL)
        return NULL;
    Exchange *exchange;
    int found = exchange_of(environ, &exchange);
    Py_DECREF(environ);
    if (found <= 0)
        return found < 0 ? NULL : Py_NewRef(Py_None);
    PyObject *template = PyObject_GetAttr(args[0], str_template);
    if (template != NULL)
        Py_SETREF(exchange->route, template);
    Py_DECREF(exchange);
    return template == NULL ? NULL : Py_NewRef(Py_None);
}

static PyObject *post_request(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
    if (nargs != 4)
        return PyErr_Format(PyExc_TypeError, "post_request takes 4 arguments (%zd given)", nargs);
    Exchange *exchange;
    int found = exchange_of(args[2], &exchange);
    if (found <= 0)
        return found < 0 ? NULL : Py_NewRef(Py_None);
    PyObject *result = finish(exchange, NULL);
    Py_DECREF(exchange);
    return result;
}

static PyMethodDef methods[] = {
    {"name_route", (PyCFunction)(void (*)(void))name_route, METH_FASTCALL,
     "name_route($module, req, resp, resource, params, /)\n--\n\nSee counting.py."},
    {"post_request", (PyCFunction)(void (*)(void))post_request, METH_FASTCALL,
     "post_request($module, worker, req, environ, resp, /)\n--\n\nSee counting.py."},
    {NULL, NULL, 0, NULL},
};

static int execute(PyObject *module)
{
    struct {
        PyObject **name;
        const char *text;
    } names[] = {
        {&str_local, "local"},       {&str_row, "row"},       {&str_begin, "begin"},
        {&str_respond, "respond"},   {&str_finish, "finish"}, {&str_interrupted, "interrupted"},
        {&str_pass_on, "pass_on"},   {&str_close, "close"},   {&str_exchange, "hvd.exchange"},
        {&str_method, "REQUEST_METHOD"}, {&str_path, "PATH_INFO"}, {&str_status, "status"},
        {&str_env, "env"},           {&str_template, "uri_template"}, {&str_101, "101"},
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (*names[i].name == NULL && (*names[i].name = PyUnicode_InternFromString(names[i].text)) == NULL)
            return -1;
    if (PyType_Ready(&exchange_type) < 0)
        return -1;
    return PyModule_AddType(module, &counted_type);
}

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, execute},
#ifdef Py_GIL_DISABLED
    {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#endif
    {0, NULL},
};

static PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "hvd.web._counting",
    .m_doc = "See counting.py.",
    .m_size = 0,
    .m_methods = methods,
    .m_slots = slots,
};

PyMODINIT_FUNC PyInit__counting(void)
{
    return PyModuleDef_Init(&definition);
}
