from flask import Flask
from flask_restx import Api, Resource, fields
from werkzeug.middleware.proxy_fix import ProxyFix

app = Flask(__name__)
app.wsgi_app = ProxyFix(app.wsgi_app)
api = Api(app, version="1.0", title="Todo API", description="Things to do")
ns = api.namespace("todos", description="TODO operations")
todo = api.model(
    "Todo", {"id": fields.Integer(readonly=True), "task": fields.String(required=True)}
)
TODOS = [{"id": 1, "task": "Build an API"}, {"id": 2, "task": "Test it"}]


@ns.route("/")
class TodoList(Resource):
    @ns.marshal_list_with(todo)
    def get(self):
        """List all tasks."""
        return TODOS

    @ns.expect(todo, validate=True)
    @ns.marshal_with(todo, code=201)
    def post(self):
        """Create a task."""
        return {"id": len(TODOS) + 1, "task": api.payload["task"]}, 201


@ns.route("/<int:id>")
@ns.response(404, "Todo not found")
class Todo(Resource):
    @ns.marshal_with(todo)
    def get(self, id):
        """Show a task."""
        return next((t for t in TODOS if t["id"] == id), None) or api.abort(404)

    def delete(self, id):
        """Delete a task."""
        return "", 204
