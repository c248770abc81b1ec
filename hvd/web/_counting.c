/* The Python of counting.py and of the post_request hook, which runs at each request, compiled: what is counted, when and
 * why is said there. A frame of the interpreter that is entered with cold caches costs more than all that it does here.
 *
 * Rows are called by their methods, so it is all the same to this file how they are made.
 */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stddef.h>

static PyObject *str_local, *str_row, *str_begin, *str_respond, *str_finish, *str_interrupted;
static PyObject *str_method, *str_path, *str_route, *str_self, *str_status, *str_env, *str_template;

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

/* ---- Counted(runtime, app, methods, other, unmatched, broke_off, streamed): the WSGI application */

typedef struct {
    PyObject_HEAD
    vectorcallfunc vectorcall;
    PyObject *runtime, *app, *methods, *other, *unmatched, *broke_off, *streamed;
} Counted;

/* A new reference to the first three characters of start_response.__self__.status. */
static PyObject *status_of(PyObject *start_response)
{
    PyObject *response = PyObject_GetAttr(start_response, str_self);
    if (response == NULL)
        return NULL;
    PyObject *status = PyObject_GetAttr(response, str_status);
    Py_DECREF(response);
    if (status == NULL)
        return NULL;
    PyObject *code = PyUnicode_Substring(status, 0, 3); /* TypeError where it is no text */
    Py_DECREF(status);
    return code;
}

/* Count what the app has answered -> what gunicorn is to send; steals nothing. */
static PyObject *answered(Counted *self, PyObject *row, PyObject *environ, PyObject *start_response, PyObject *method,
                          PyObject *body)
{
    int known = PySet_Contains(self->methods, method);
    if (known < 0)
        return NULL;
    method = known ? method : self->other;
    PyObject *route = PyDict_GetItemWithError(environ, str_route); /* borrowed */
    if (route == NULL) {
        if (PyErr_Occurred())
            return NULL;
        route = self->unmatched;
    }
    PyObject *status = status_of(start_response), *result = NULL;
    if (status == NULL)
        return NULL;
    if (PyList_CheckExact(body)) {
        PyObject *arguments[] = {row, method, route, status};
        PyObject *none = PyObject_VectorcallMethod(str_respond, arguments, 4, NULL);
        Py_XDECREF(none);
        result = none == NULL ? NULL : Py_NewRef(body);
    } else {
        PyObject *arguments[] = {body, row, method, route, status};
        result = PyObject_Vectorcall(self->streamed, arguments, 5, NULL);
    }
    Py_DECREF(status);
    return result;
}

/* The app raised: broke_off says what that means, and raises what gunicorn is to see. */
static void *failed(Counted *self, PyObject *row, PyObject *environ, PyObject *method)
{
    PyObject *type, *error, *traceback;
    PyErr_Fetch(&type, &error, &traceback);
    PyErr_NormalizeException(&type, &error, &traceback);
    if (traceback != NULL)
        PyException_SetTraceback(error, traceback);
    PyObject *arguments[] = {error, row, method, environ};
    PyObject *result = PyObject_Vectorcall(self->broke_off, arguments, 4, NULL);
    if (result != NULL) {
        Py_DECREF(result);
        PyErr_SetString(PyExc_SystemError, "broke_off raised nothing");
    }
    Py_XDECREF(type);
    Py_XDECREF(error);
    Py_XDECREF(traceback);
    return NULL;
}

static PyObject *serve(Counted *self, PyObject *row, PyObject *environ, PyObject *start_response)
{
    PyObject *method = PyDict_GetItemWithError(environ, str_method); /* borrowed, of a dict that this request owns */
    PyObject *path = method ? PyDict_GetItemWithError(environ, str_path) : NULL;
    if (path == NULL) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_KeyError, "REQUEST_METHOD and PATH_INFO");
        return NULL;
    }
    Py_INCREF(method); /* the app may change the dict */
    PyObject *begun[] = {row, method, path}, *asked[] = {NULL, environ, start_response}, *result = NULL;
    PyObject *none = PyObject_VectorcallMethod(str_begin, begun, 3, NULL);
    if (none != NULL) {
        Py_DECREF(none);
        PyObject *body = PyObject_Vectorcall(self->app, asked + 1, 2 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
        result = body ? answered(self, row, environ, start_response, method, body) : failed(self, row, environ, method);
        Py_XDECREF(body);
    }
    Py_DECREF(method);
    return result;
}

static PyObject *call(PyObject *callable, PyObject *const *args, size_t flags, PyObject *names)
{
    Counted *self = (Counted *)callable;
    if (PyVectorcall_NARGS(flags) != 2 || (names != NULL && PyTuple_GET_SIZE(names)) || !PyDict_Check(args[0])) {
        PyErr_SetString(PyExc_TypeError, "a WSGI application takes an environ and start_response");
        return NULL;
    }
    PyObject *row = row_of(self->runtime);
    if (row == NULL)
        return NULL;
    PyObject *result = serve(self, row, args[0], args[1]);
    Py_DECREF(row);
    return result;
}

static PyObject *counted_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    PyObject *given[7];
    if (kwargs != NULL && PyDict_GET_SIZE(kwargs))
        return PyErr_Format(PyExc_TypeError, "Counted takes no keywords");
    if (!PyArg_ParseTuple(args, "OOO!OOOO", &given[0], &given[1], &PyFrozenSet_Type, &given[2], &given[3], &given[4],
                          &given[5], &given[6]))
        return NULL;
    Counted *self = (Counted *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->vectorcall = call;
    PyObject **kept[] = {&self->runtime, &self->app, &self->methods, &self->other,
                         &self->unmatched, &self->broke_off, &self->streamed};
    for (int i = 0; i < 7; i++)
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
    Py_VISIT(self->streamed);
    return 0;
}

static int counted_clear(Counted *self)
{
    Py_CLEAR(self->runtime);
    Py_CLEAR(self->app);
    Py_CLEAR(self->methods);
    Py_CLEAR(self->other);
    Py_CLEAR(self->unmatched);
    Py_CLEAR(self->broke_off);
    Py_CLEAR(self->streamed);
    return 0;
}

static void counted_dealloc(Counted *self)
{
    PyObject_GC_UnTrack(self);
    counted_clear(self);
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

/* counting.py, RouteName: the template of the route that matched, left where `counted` finds it. */
static PyObject *name_route(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    if (count != 4)
        return PyErr_Format(PyExc_TypeError, "name_route takes 4 arguments (%zd given)", count);
    PyObject *template = PyObject_GetAttr(args[0], str_template);
    PyObject *environ = template ? PyObject_GetAttr(args[0], str_env) : NULL;
    int result = environ ? PyObject_SetItem(environ, str_route, template) : -1;
    Py_XDECREF(template);
    Py_XDECREF(environ);
    if (result < 0)
        return NULL;
    Py_RETURN_NONE;
}

/* counting.py, finishing: the hook itself, whose self is the runtime. */
static PyObject *post_request(PyObject *runtime, PyObject *const *args, Py_ssize_t count)
{
    if (count != 4)
        return PyErr_Format(PyExc_TypeError, "post_request takes 4 arguments (%zd given)", count);
    int began = PyObject_IsTrue(args[2]);
    if (began <= 0)
        return began < 0 ? NULL : Py_NewRef(Py_None);
    PyObject *row = row_of(runtime);
    if (row == NULL)
        return NULL;
    PyObject *interrupted = PyObject_GetAttr(row, str_interrupted), *result = NULL;
    if (interrupted == Py_None)
        result = PyObject_CallMethodNoArgs(row, str_finish);
    else if (interrupted != NULL)
        result = Py_NewRef(Py_None);
    Py_XDECREF(interrupted);
    Py_DECREF(row);
    return result;
}

static PyMethodDef post_request_method = {
    "post_request", (PyCFunction)(void (*)(void))post_request, METH_FASTCALL,
    "post_request($self, worker, req, environ, resp, /)\n--\n\nSee finishing in counting.py."};

static PyObject *finishing(PyObject *module, PyObject *runtime)
{
    return PyCFunction_NewEx(&post_request_method, runtime, NULL);
}

static PyMethodDef methods[] = {
    {"name_route", (PyCFunction)(void (*)(void))name_route, METH_FASTCALL,
     "name_route($module, req, resp, resource, params, /)\n--\n\nSee counting.py."},
    {"finishing", finishing, METH_O, "finishing($module, runtime, /)\n--\n\nSee counting.py."},
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
        {&str_method, "REQUEST_METHOD"}, {&str_path, "PATH_INFO"}, {&str_route, "hvd.route"},
        {&str_self, "__self__"},     {&str_status, "status"}, {&str_env, "env"},
        {&str_template, "uri_template"},
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (*names[i].name == NULL && (*names[i].name = PyUnicode_InternFromString(names[i].text)) == NULL)
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
