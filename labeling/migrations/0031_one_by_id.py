from django.db import migrations

_FUNCTION = """
create function labeling_{what}_of(wanted bigint) returns labeling_{what} language plpgsql stable as $$
declare
    one labeling_{what};
begin
    select * into one from labeling_{what} where id = wanted;
    return one;
end
$$
"""


class Migration(migrations.Migration):
    """One row of the partitioned tables by its id, for statements that learn the id on the way: joined, each of the partitions
    is made ready for every execution, and there is one more every week. The row is empty where there is none.
    """

    dependencies = [("labeling", "0030_less_to_analyze")]

    operations = [
        migrations.RunSQL(_FUNCTION.format(what=what), f"drop function labeling_{what}_of(bigint)")
        for what in ("item", "prediction")
    ]
