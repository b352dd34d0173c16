import marshmallow as ma
from flask import Flask
from flask.views import MethodView
from flask_smorest import Api, Blueprint, abort
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import Mapped, mapped_column

app = Flask(__name__)
app.config["API_TITLE"] = "Pets"
app.config["API_VERSION"] = "v1"
app.config["OPENAPI_VERSION"] = "3.0.2"
app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite:///pets.db"
api = Api(app)
db = SQLAlchemy(app)


class Pet(db.Model):
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


class PetSchema(ma.Schema):
    id = ma.fields.Int(dump_only=True)
    name = ma.fields.String()


class PetQueryArgsSchema(ma.Schema):
    name = ma.fields.String()


blp = Blueprint("pets", "pets", url_prefix="/pets", description="Operations on pets")


@blp.route("/")
class Pets(MethodView):
    @blp.arguments(PetQueryArgsSchema, location="query")
    @blp.response(200, PetSchema(many=True))
    def get(self, args):
        return db.session.scalars(db.select(Pet).filter_by(**args)).all()

    @blp.arguments(PetSchema)
    @blp.response(201, PetSchema)
    def post(self, new_data):
        db.session.add(pet := Pet(**new_data))
        db.session.commit()
        return pet


@blp.route("/<pet_id>")
class PetsById(MethodView):
    @blp.response(200, PetSchema)
    def get(self, pet_id):
        return db.session.get(Pet, pet_id) or abort(404, message="Item not found.")

    @blp.response(204)
    def delete(self, pet_id):
        db.session.delete(db.session.get(Pet, pet_id))
        db.session.commit()


api.register_blueprint(blp)
with app.app_context():
    db.create_all()
    if not db.session.get(Pet, 1):
        db.session.add_all([Pet(name="Rex"), Pet(name="Tom")])
        db.session.commit()
